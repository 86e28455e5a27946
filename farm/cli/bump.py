"""`farm recipe bump`: a new release for a recipe, in the working tree or as a branch."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from farm.cli import output
from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.watch.bump import Bump, NothingNew
    from farm.watch.gather import Gathered
    from farm.watch.patches import Tried


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action's options."""
    parser.add_argument("release", metavar="RECIPE[=VERSION]", help="without a version: upstream's newest")
    parser.add_argument("--pre", action="store_true", help="the newest may be a prerelease")
    parser.add_argument("--expired", action="store_true", help="take a signed Debian index whose validity is over")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Add the release. Running it again says that it is there. Raises UsageError, SourceError, CatalogError."""
    from farm import catalog
    from farm.store import home
    from farm.watch import bump

    loaded = catalog.load(settings)
    name, version = _release(args.release)
    if name not in loaded.recipes:
        raise UsageError(f"there is no recipe {name!r}", fix="`farm recipe list`")
    home.prepare(settings.home)
    found = bump.prepare(
        loaded, name, version, _asking(args, settings), settings, prereleases=args.pre, progress=_progress(args)
    )
    if isinstance(found, bump.Bump):
        bump.write(found)
    if args.json:
        output.print_json(document(found))
    else:
        print("\n".join(lines(found)))
    return 0


def _release(text: str) -> tuple[str, str]:
    name, given, version = text.partition("=")
    if given and not version.strip():
        raise UsageError(f"{text!r} names no version", where="RECIPE[=VERSION]", fix=f"{name}=1.2.3, or just {name}")
    return name, version.strip()


def _asking(args: argparse.Namespace, settings: Settings) -> Any:
    from farm.watch.values import Asking

    return Asking(cache=settings.cache, accept_expired=args.expired)


def _progress(args: argparse.Namespace) -> Any:
    """Say each file once, when it begins to come."""
    seen: set[str] = set()

    def report(name: str, _have: int, total: int | None) -> None:
        if name not in seen and not args.json:
            seen.add(name)
            size = f" ({output.human_size(total)})" if total else ""
            print(f"  fetching {name}{size}", file=sys.stderr)

    return report


def document(found: Bump | NothingNew) -> dict[str, Any]:
    """A bump for programs."""
    from farm.watch.bump import NothingNew

    if isinstance(found, NothingNew):
        return {"recipe": found.recipe, "version": found.version, "state": "present"}
    return {
        "recipe": found.recipe,
        "version": found.version,
        "state": "added",
        "before": found.before,
        "file": str(found.path),
        "sources": [
            {
                "kept": item.is_kept,
                "size": item.size,
                "locations": [location.model_dump() for location in item.source.location],
                "left_out": list(item.left_out),
            }
            for item in found.sources
        ],
        "patches": [{"name": tried.name, "fit": tried.fit, "why": tried.why} for tried in found.patches],
    }


def lines(found: Bump | NothingNew) -> list[str]:
    """A bump for people."""
    from farm.watch.bump import NothingNew

    if isinstance(found, NothingNew):
        return [f"{found.recipe} {found.version} is there: nothing to add"]
    return [
        f"{found.recipe} {found.before} -> {found.version}",
        *(line for item in found.sources for line in _source(item)),
        *(line for tried in found.patches for line in _patch(tried)),
        f"wrote {found.path}",
        f"next: farm build {found.recipe}@{found.version}",
    ]


def _source(item: Gathered) -> list[str]:
    if item.is_kept:
        return [f"  same as before: {item.source.location[0].url}"]
    size = output.human_size(item.size)
    return [
        *(f"  source: {location.url} ({size}), sha256 {location.sha256}" for location in item.source.location),
        *(f"  left out: {reason}" for reason in item.left_out),
    ]


def _patch(tried: Tried) -> list[str]:
    return [f"  patch {tried.name}: {tried.fit}", *(f"    {line}" for line in tried.why.splitlines()[1:])]
