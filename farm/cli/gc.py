"""Remove what nothing needs: old artifacts, old logs, scratch space of dead builds, and what is made again where it is
wanted and was not for a while: unpacked sources, Pythons and Wine's drives of tests. Safe while farms run.

Kept are: what a generation of any channel serves; what today's catalog would build; the newest build of each slot; what
is being built, queued or pinned; what unfinished cascades need; and all that is younger than --keep-days.

With --caches the user's cache is looked through, too, which other farms of the user share: they make or fetch again
what they want.

With --shared the shared store is collected: what nothing needs is marked, and removed by a run that comes a grace
period later. Only one farm does this, the one whose index and ledger say what is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

from farm.cascade.keeping import frozen_in_use, over_for
from farm.cli import gc_caches, gc_first, gc_rules, history, numbers, output
from farm.errors import CatalogError, PlanError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farm.index.generations import Index
    from farm.model.cascade import Cascade
    from farm.settings import Settings
    from farm.store.ledger import Ledger
    from farm.store.removal import Removal

EPILOG = """examples:
  farm gc --dry-run            what would go
  farm gc                      remove it
  farm gc --keep-days 0        the disk is full: keep only what is needed
  farm gc --keep-generations 30 --max-size 50G
  farm gc --caches             also toolchains, SDKs, sysroots and downloads that today's pins do not name
  farm gc --shared             collect the store that FARM_STORE names; once a day, on the machine with the index
"""
_KEEP_DAYS = 14.0
_ALWAYS_MANY = ("work", "imports")  # kinds of removals that have no plural of their own


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--dry-run", action="store_true", help="show what would be removed, remove nothing")
    parser.add_argument(
        "--keep-days",
        type=numbers.days,
        default=_KEEP_DAYS,
        metavar="N",
        help=f"keep what is younger (default {_KEEP_DAYS:g})",
    )
    gc_rules.configure(parser)
    gc_caches.configure(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Sweep, and print what went. Raises StoreError, IndexFormatError."""
    from farm.index.generations import Index
    from farm.store import home
    from farm.store.artifacts import open_store
    from farm.store.sweep import sweep_named_by_key, sweep_store

    if not args.keep_days >= 0:
        raise UsageError("must be 0 or more", where="--keep-days", fix="0 keeps only what is needed")
    gc_rules.check(args, settings)
    gc_caches.check(args)
    home.require(settings.home)
    store = open_store(settings)
    first = [] if args.shared else gc_first.sweep(settings, keep_days=args.keep_days, dry_run=args.dry_run)
    first += gc_caches.sweep(args, settings)
    served, pruned = gc_rules.prune(Index(settings.index), args)
    with gc_first.room(settings, first, args), history.ledger_if_any(settings) as ledger:
        keep = _keys_to_keep(settings, ledger)
        catalogs = frozen_in_use(ledger) if ledger is not None else None
        over = over_for(ledger, args.keep_days) if ledger is not None else ()
    days, dry = args.keep_days, args.dry_run
    if args.shared:
        collected, waiting = gc_rules.collect_shared(store, args, keys=keep, served=served)
        _print(pruned + collected, args, waiting=waiting)
        return 0
    size = gc_rules.size_of(args.max_size)
    removals = (
        first
        + pruned
        + sweep_store(store, keep_keys=keep, keep_sha256=served, keep_days=days, dry_run=dry, max_size=size)
    )
    kept = keep | (set(store.keys()) - {r.key for r in removals})
    for folder, kind in ((settings.logs, "log"), (settings.abi, "abi"), (settings.abi, "imports")):
        removals += sweep_named_by_key(folder, kind, keep_keys=kept, keep_days=days, dry_run=dry)
    if catalogs is not None:
        removals += _hidden(Index(settings.index), over, args) + _catalogs(settings, catalogs, args)
    if not args.dry_run:
        _forget(settings)
    _print(removals, args)
    return 0


def _forget(settings: Settings) -> None:
    """What was told long ago leaves the ledger. A write: last, when there is room again."""
    with history.ledger_if_any(settings) as ledger:
        if ledger is not None:
            ledger.forget_happenings()


def _hidden(index: Index, over: Sequence[Cascade], args: argparse.Namespace) -> list[Removal]:
    """The hidden channels of cascades that are over."""
    from farm.store.removal import Removal

    found = [cascade.hidden for cascade in over if index.numbers(cascade.hidden)]
    for channel in found if not args.dry_run else ():
        index.drop(channel)
    return [Removal(kind="channel", path=index.root / name, size=0, name=name) for name in found]


def _catalogs(settings: Settings, keep: frozenset[str], args: argparse.Namespace) -> list[Removal]:
    """Frozen catalogs of cascades that are over; young ones may be of a cascade that is just being started."""
    from farm.store import frozen
    from farm.store.removal import Removal

    return [
        Removal(kind="catalog", path=path, size=0, name=path.name)
        for path in frozen.sweep(settings, keep, keep_days=args.keep_days, dry_run=args.dry_run)
    ]


def _keys_to_keep(settings: Settings, ledger: Ledger | None) -> set[str]:
    """Keys that the catalog, the ledger or a running build speak for, and what stands in for them."""
    from farm.store.needs import catalogs_of_jobs
    from farm.store.standing import with_stand_ins

    keep: set[str] = set()
    pythons: tuple[str, ...] = ()
    if ledger is not None:
        keep |= ledger.newest_keys() | ledger.leased_keys() | ledger.keys_of_jobs()
        keep |= catalogs_of_jobs(ledger)
        for cascade in ledger.cascades(unfinished=True):
            keep |= ledger.keys_at_work(cascade.id)
        pythons = ledger.pythons()
    try:
        keep |= {step.key for step in history.make_plan(settings, pythons=pythons).steps}
    except (CatalogError, PlanError) as error:
        first = str(error).partition("\n")[0]
        print(f"farm gc: the catalog gives no plan, so only the newest builds are kept: {first}", file=sys.stderr)
    return set(with_stand_ins(keep))


def _print(removals: list[Removal], args: argparse.Namespace, *, waiting: int | None = None) -> None:
    freed = sum(r.size for r in removals)
    if args.json:
        rows = [{"kind": r.kind, "name": r.name, "path": str(r.path), "size": r.size} for r in removals]
        more = {} if waiting is None else {"waiting": waiting}
        output.print_json({"dry_run": args.dry_run, "freed": freed, "removed": rows, **more})
        return
    output.print_table(("kind", "size", "name"), [(r.kind, output.human_size(r.size), r.name) for r in removals])
    kinds = Counter(r.kind for r in removals)
    parts = (f"{n} {kind}" if kind in _ALWAYS_MANY else output.counted(n, kind) for kind, n in kinds.items())
    counted = ", ".join(parts)
    verb = "would be freed" if args.dry_run else "freed"
    print(f"{output.human_size(freed)} {verb} ({counted})" if removals else "nothing to remove")
    if waiting:
        objects = output.counted(waiting, "object")
        print(f"{objects} marked: removed by `farm gc --shared` in {args.grace_hours:g} h or later, if not needed then")
