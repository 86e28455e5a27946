"""`farm recipe bump`: a new release for a recipe, in the working tree or as a branch."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from farm.cli import bump_shown, output, proposing
from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.fetch.download import Progress
    from farm.settings import Settings
    from farm.watch.values import Asking


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action's options."""
    parser.add_argument("release", metavar="RECIPE[=VERSION]", help="without a version: upstream's newest")
    parser.add_argument("--pre", action="store_true", help="the newest may be a prerelease")
    parser.add_argument("--expired", action="store_true", help="take a signed Debian index whose validity is over")
    proposing.configure(parser)
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
        made = proposing.propose(args, name, version, settings, asking=asking(args, settings), progress=progress(args))
        if args.json:
            output.print_json(proposing.document(made))
        else:
            print("\n".join(proposing.lines(made)))
        return 0
    if args.abi:
        raise UsageError("--abi goes with --branch or --pull-request", fix="farm abi diff does it for the working tree")
    found = bump.prepare(
        loaded, name, version, asking(args, settings), settings, prereleases=args.pre, progress=progress(args)
    )
    if isinstance(found, bump.Bump):
        bump.write(found)
    if args.json:
        output.print_json(bump_shown.document(found))
    else:
        print("\n".join(bump_shown.lines(found)))
        if isinstance(found, bump.Bump):
            print(f"wrote {found.path}\nnext: farm build {name}@{found.version}")
    return 0


def _release(text: str) -> tuple[str, str]:
    name, given, version = text.partition("=")
    if given and not version.strip():
        raise UsageError(f"{text!r} names no version", where="RECIPE[=VERSION]", fix=f"{name}=1.2.3, or just {name}")
    return name, version.strip()


def asking(args: argparse.Namespace, settings: Settings) -> Asking:
    """How upstream is asked."""
    from farm.watch.values import Asking

    return Asking(cache=settings.cache, accept_expired=args.expired)


def progress(args: argparse.Namespace) -> Progress:
    """Says each file once on stderr, when it begins to come; nothing with ``--json``."""
    seen: set[str] = set()

    def report(name: str, _have: int, total: int | None) -> None:
        if name not in seen and not args.json:
            seen.add(name)
            size = f" ({output.human_size(total)})" if total else ""
            print(f"  fetching {name}{size}", file=sys.stderr)

    return report
