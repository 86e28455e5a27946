"""`farm status --watch`: what runs now, what waits, what failed last, drawn anew every few seconds.

A terminal gets a table that is drawn over itself; a pipe gets a line for each thing that changed, and with ``--json``
one object a line. Each look asks the ledger a handful of questions that cost the same however many steps the farm has.
"""

from __future__ import annotations

import fnmatch
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from farm.cli.status_look import CascadeLook, Look, changes, document, table
from farm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.store.ledger import Ledger
    from farm.store.looking import Seen

_FAILED = 8  # steps that failed, and are shown
_READ = 100  # failures that these are looked for in
_LEAST = 0.1  # seconds between looks


def watch(
    open_ledger: Callable[[], Ledger], *, interval: float, recipes: list[str], platforms: list[str], json: bool
) -> int:
    """Look until Ctrl-C, which is the ordinary end. Raises UsageError, StoreError."""
    if not _LEAST <= interval <= 3600:
        raise UsageError(f"{interval:g} seconds make no sense", where="--interval", fix=f"give {_LEAST} to 3600")
    try:
        with open_ledger() as ledger:
            looks = _looks(ledger, interval, recipes, platforms)
            if json:
                _show_json(looks)
            elif sys.stdout.isatty():
                _show_live(looks)
            else:
                _show_lines(looks)
    except KeyboardInterrupt:
        return 0
    return 0


def look(ledger: Ledger, recipes: list[str], platforms: list[str], now: datetime | None = None) -> Look:
    """The farm now. Raises StoreError."""
    at = now or datetime.now(UTC)

    def wanted(seen: Seen) -> bool:
        return _any(seen.recipe, recipes) and _any(seen.platform, platforms)

    numbers = ledger.cascade_numbers()
    queued = {queue: count for (queue, state), count in ledger.queue_numbers().items() if state == "queued" and count}
    return Look(
        at=at,
        running=tuple(filter(wanted, ledger.running(at))),
        failed=_newest_of_each(filter(wanted, ledger.last_failed(_READ)), _FAILED),
        cascades=tuple(
            CascadeLook(id=c.id, what=c.what, state=c.state.value, note=c.note, counts=numbers.get(c.id, {}))
            for c in ledger.cascades(unfinished=True)
        ),
        waits=queued,
    )


def _newest_of_each(failed: Iterable[Seen], limit: int) -> tuple[Seen, ...]:
    """A step that failed again and again is said once."""
    by_step: dict[str, Seen] = {}
    for one in failed:
        by_step.setdefault(one.step, one)
    return tuple(by_step.values())[:limit]


def _any(name: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _looks(ledger: Ledger, interval: float, recipes: list[str], platforms: list[str]) -> Iterator[Look]:
    """A look every so often; while the ledger does not answer, the last one with the trouble."""
    last = Look(at=datetime.now(UTC))
    while True:
        try:
            last = look(ledger, recipes, platforms)
        except UnavailableError as error:
            last = replace(last, at=datetime.now(UTC), trouble=error.what)
        yield last
        time.sleep(interval)


def _show_live(looks: Iterator[Look]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False, transient=False, vertical_overflow="ellipsis") as live:
        for now in looks:
            live.update(table(now), refresh=True)


def _show_lines(looks: Iterator[Look]) -> None:
    before = Look(at=datetime.fromtimestamp(0, UTC))
    for now in looks:
        for line in changes(before, now):
            print(f"{now.at:%H:%M:%S} {line}", flush=True)
        before = now


def _show_json(looks: Iterator[Look]) -> None:
    from json import dumps

    for now in looks:
        print(dumps(document(now), ensure_ascii=False), flush=True)


def ledger_to_watch(settings: Settings) -> Callable[[], Ledger]:
    """Opens the ledger, which is made if there is none yet: somebody who watches waits for a build."""
    from farm.store import home
    from farm.store.ledger import Ledger

    home.prepare(settings.home)
    return lambda: Ledger.open(settings.ledger)
