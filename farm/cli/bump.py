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
    parser.add_argument("--branch", action="store_true", help="as a commit on a branch of its own")
    parser.add_argument("--pull-request", action="store_true", help="push the branch and open a pull request for it")
    parser.add_argument("--abi", action="store_true", help="say what becomes of a library's ABI (builds both releases)")
    parser.add_argument(
        "--base",
        default="",
        metavar="BRANCH",
        help="what the branch starts from; default: HEAD, or for a pull request the forge's default branch",
    )
    parser.add_argument("--remote", default="origin", metavar="NAME", help="where the branch is pushed to")
    parser.add_argument("--repository", default="", metavar="OWNER/NAME", help="on the forge; read off the remote")
    parser.add_argument("--label", action="append", default=[], metavar="L", help="of the pull request; repeatable")
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
    if args.branch or args.pull_request:
        from farm.cli import proposing

        return proposing.run(args, name, version, settings, asking=_asking(args, settings), progress=_progress(args))
    if args.abi:
        raise UsageError("--abi goes with --branch or --pull-request", fix="farm abi diff does it for the working tree")
    found = bump.prepare(
        loaded, name, version, _asking(args, settings), settings, prereleases=args.pre, progress=_progress(args)
    )
    if isinstance(found, bump.Bump):
        bump.write(found)
    if args.json:
        output.print_json(document(found))
    else:
        print("\n".join(lines(found)))
        if isinstance(found, bump.Bump):
            print(f"wrote {found.path}\nnext: farm build {name}@{found.version}")
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
