"""What `farm gc` removes before it asks the ledger, so that a full disk has room for the ledger again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from farm.cli import output
from farm.errors import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from farm.settings import Settings
    from farm.store.removal import Removal

_USED_DAYS = 1.0  # so long a worker may use the catalog of a job, and a test its Python


def sweep(settings: Settings, *, keep_days: float, dry_run: bool) -> list[Removal]:
    """Remove temporaries of dead processes, and what is made again and nobody used for a while. Raises StoreError."""
    from farm.store.scratch import sweep_dead, sweep_work

    removals = sweep_dead(_written_to(settings), dry_run=dry_run)
    for place, least in _made_again(settings):
        removals += sweep_work(place, keep_days=max(keep_days, least), dry_run=dry_run)
    return removals


@contextlib.contextmanager
def room(settings: Settings, removed: Sequence[Removal], args: argparse.Namespace) -> Iterator[None]:
    """Say what to do where the disk is too full for the ledger, whose database writes even to be read."""
    from farm.store.room import is_out_of_room

    try:
        yield
    except StoreError as error:
        if not is_out_of_room(settings.home):
            raise
        freed = output.human_size(sum(removal.size for removal in removed))
        again = (
            f"run it without --dry-run: first it removes what needs no ledger ({freed})"
            if args.dry_run and removed
            else f"remove logs by hand (each file in {settings.logs} may go), or make room on this disk otherwise, "
            "and run `farm gc` again"
        )
        done = "" if args.dry_run else f"; {freed} were freed that need no ledger"
        raise StoreError(
            f"no room on the disk for the ledger, which takes some 100 kB even to be read{done}",
            where=error.where or str(settings.home),
            fix=again,
        ) from error


def _written_to(settings: Settings) -> Iterator[Path]:
    """Where writers that are killed leave temporaries, besides what `_made_again` names."""
    from farm.store.files import scan

    yield from (settings.home, settings.logs, settings.abi, settings.index, settings.store / "tmp")
    for group in scan(settings.index / "files"):
        pool = settings.index / "files" / group.name
        yield from (pool / entry.name for entry in scan(pool))


def _made_again(settings: Settings) -> tuple[tuple[Path, float], ...]:
    """Directories of what is only kept so that it is not made twice, and for how many days it may be in use after
    somebody asked for it. Those of the cache are the user's: other farms make again what they want."""
    return (
        (settings.work, 0.0),
        (settings.fleet / "catalogs", _USED_DAYS),
        (settings.sources, 0.0),
        (settings.cache / "pythons", _USED_DAYS),
        (settings.cache / "wine", _USED_DAYS),
        (settings.containers, _USED_DAYS),
    )
