"""Retention rules of `farm gc`: generations that are kept, sizes, and the shared store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from farm.cli import numbers
from farm.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from farm.index.generations import Index
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.removal import Removal

_GRACE_HOURS = 24.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--keep-generations",
        type=numbers.whole,
        metavar="N",
        help="of each channel the newest N and the served one; default: all",
    )
    parser.add_argument(
        "--max-size", metavar="SIZE", help="if the store is larger (20G, 500M), what is young but not needed goes, too"
    )
    parser.add_argument(
        "--shared", action="store_true", help="collect the shared store (FARM_STORE) instead of the own"
    )
    parser.add_argument(
        "--grace-hours",
        type=numbers.amount,
        default=_GRACE_HOURS,
        metavar="H",
        help=f"with --shared: time between mark and removal (default {_GRACE_HOURS:g}, at least 1)",
    )
    parser.add_argument(
        "--take-over", action="store_true", help="with --shared: from now on this farm says what is needed there"
    )


def check(args: argparse.Namespace, settings: Settings) -> None:
    """Raise UsageError for what contradicts itself."""
    from farm.store.guard import LEAST_GRACE

    if args.keep_generations is not None and args.keep_generations < 1:
        raise UsageError("must be 1 or more", where="--keep-generations", fix="1 keeps what is served")
    if not args.grace_hours * 3600 >= LEAST_GRACE:
        fix = "publishers on other machines need that time to notice"
        raise UsageError("must be 1 or more", where="--grace-hours", fix=fix)
    if args.shared and not settings.store_url:
        raise UsageError("there is no shared store", where="--shared", fix="set FARM_STORE (docs/stores.md)")
    size_of(args.max_size)
    if args.take_over and not args.shared:
        raise UsageError("speaks of the shared store", where="--take-over", fix="add --shared")


def prune(index: Index, args: argparse.Namespace) -> tuple[frozenset[str], list[Removal]]:
    """Forget old generations if asked to; gives the hashes of what the others serve, and what went."""
    from farm.store.removal import Removal

    gone = []
    for channel in index.channels() if args.keep_generations is not None else ():
        numbers = index.numbers(channel)
        kept = {*numbers[-args.keep_generations :], index.current_number(channel)}
        gone += [index.generation(channel, number) for number in numbers if number not in kept]
        if not args.dry_run:
            index.prune(channel, keep=args.keep_generations)
    removals = [Removal(kind="generation", path=index.path(g), size=0, name=g.name) for g in gone]
    if not (gone and args.dry_run):
        return index.live(), removals  # raises if any generation cannot be read: then nothing is removed
    names = {generation.name for generation in gone}
    return index.live(besides=names), removals


def collect_shared(
    store: Store, args: argparse.Namespace, *, keys: Collection[str], served: frozenset[str]
) -> tuple[list[Removal], int]:
    """Mark and sweep the shared store; gives what went, and how many objects wait for the end of their grace period."""
    from farm.store.collect import Rules, collect, require_keeper
    from farm.store.files import file_lock
    from farm.store.pins import pinned_keys

    shared = store.shared
    assert shared is not None
    if not shared.writable:
        raise UsageError("this store is only read", where="--shared", fix="run it where FARM_STORE is writable")
    needed = set(keys) | pinned_keys(store)
    if not served and not needed:
        raise StoreError(
            "this farm serves nothing and knows of no build: all of the shared store would go",
            where=shared.id,
            fix="run it on the machine that has the index and the ledger (--home, FARM_LEDGER)",
        )
    store.prepare()
    rules = Rules(
        keys=needed,
        sha256=served,
        keep_days=args.keep_days,
        grace=args.grace_hours * 3600,
        max_size=size_of(args.max_size),
    )
    with file_lock(store.root / ".gc.lock"):
        shared.claim()
        if not args.dry_run:
            require_keeper(shared.remote, store.farm_id(), take_over=args.take_over)
        found = collect(shared, rules, dry_run=args.dry_run)
    return list(found.removals), found.waiting


def size_of(text: str | None) -> int | None:
    """Bytes of ``--max-size``. Raises UsageError."""
    from farm.settings import parse_size

    return parse_size(text, "--max-size") if text else None
