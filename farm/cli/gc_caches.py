"""`farm gc --caches`: what the user's cache keeps for pins that no catalog has any more."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from farm.cli import numbers
from farm.errors import CatalogError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from farm.catalog import Catalog
    from farm.settings import Settings
    from farm.store.removal import Removal


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--caches",
        action="store_true",
        help="also the user's cache: toolchains, Python SDKs, sysroots, build packages and downloads that today's pins "
        "do not name and nobody used for --keep-days (at least 1)",
    )
    parser.add_argument(
        "--unused-days",
        type=numbers.days,
        metavar="N",
        help="with --caches: also what pins name, if nobody used it for N days; default: kept",
    )


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for what contradicts itself."""
    if args.unused_days is not None and not args.caches:
        raise UsageError("speaks of the user's cache", where="--unused-days", fix="add --caches")
    if args.unused_days is not None and not args.unused_days >= 1:
        raise UsageError("must be 1 or more", where="--unused-days", fix="builds may use what was asked for today")
    if args.caches and args.shared:
        raise UsageError("the shared store has no such cache", where="--caches", fix="run `farm gc --caches` by itself")


def sweep(args: argparse.Namespace, settings: Settings) -> list[Removal]:
    """Remove what may go. Raises CatalogError if nobody can say what the pins are; StoreError."""
    from farm import catalog
    from farm.build import cached
    from farm.store import caches

    if not args.caches:
        return []
    catalogs = (catalog.load(settings), *_frozen(settings))
    named_days = math.inf if args.unused_days is None else args.unused_days
    removals: list[Removal] = []
    for cache in cached.caches(catalogs, settings):
        removals += caches.sweep(cache, keep_days=args.keep_days, named_days=named_days, dry_run=args.dry_run)
    return removals + caches.sweep_downloads(
        settings.downloads,
        named=cached.downloads(catalogs),
        keep_days=args.keep_days,
        named_days=named_days,
        dry_run=args.dry_run,
    )


def _frozen(settings: Settings) -> Iterator[Catalog]:
    """What cascades go on with, whatever today's catalog says."""
    from farm import catalog
    from farm.store import frozen
    from farm.store.files import scan

    for entry in scan(frozen.folder(settings)):
        try:
            yield catalog.load_from(frozen.folder(settings) / entry.name)
        except CatalogError as error:
            first = str(error).partition("\n")[0]
            print(f"farm gc: pins of the frozen catalog {entry.name[:12]} do not count: {first}", file=sys.stderr)
