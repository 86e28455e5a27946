"""How publishers and the collector of a shared store keep out of each other's way, without locks or common clocks.

A pin is a file that names what somebody needs or is about to publish. The collector (farm.store.collect) first *marks*
what nothing needs, and removes it a grace period later, in small batches: it says what it is about to remove
(`SWEEPING`), **then** reads the pins, and spares what they name. Who needs something writes a pin, **then** reads
`SWEEPING`, and waits if it names that. Each writes before it reads, so at least one sees the other; nothing is removed
that a pin named in time.

Who publishes what is marked writes it anew, which the collector sees by its date: so the pin need not outlive that.

To publish what nobody has marked needs no pin: marks are older than anybody's memory of them (`MEMORY`) by the time
they are acted upon (`LEAST_GRACE`). So the common case costs no request.

What is left: a request to remove one object that is under way for longer than `WAIT_SECONDS`. It costs a rebuild, never
a wrong wheel: a record without content counts as not built.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator

from farm.errors import StoreError, UnavailableError
from farm.model import json_text
from farm.store.files import temporary_name
from farm.store.owner import owner_of_name
from farm.store.remote import layout
from farm.store.remote.protocol import Entry, Remote

_log = logging.getLogger(__name__)
MEMORY = 600.0  # seconds for which a publisher believes what it read of the marks
LEAST_GRACE = 3600.0  # seconds between mark and removal, at least
BATCH_SECONDS = 20.0  # a collector stops removing so long after it said what; counted while the machine sleeps, too
WAIT_SECONDS = 60.0  # so long a batch is waited for that does not change: its collector is dead then
_POLL = 0.5
_ABANDONED = 7 * 86_400.0  # seconds after which a pin of another machine counts as forgotten: no run takes that long


class Guard:
    """The side of those who publish and need. `clock` (seconds, never set back) and `sleep` are for tests."""

    def __init__(
        self,
        remote: Remote,
        *,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._remote = remote
        self._clock = clock
        self._sleep = sleep
        self._marks: tuple[float, frozenset[str]] | None = None

    @contextlib.contextmanager
    def pinned(self, names: Collection[str]) -> Iterator[None]:
        """Keep objects while the block runs, those that exist and those that will."""
        pin = layout.pin(temporary_name("run"))
        self._remote.write(pin, "\n".join(names).encode())
        try:
            self._wait_for(frozenset(names))
            yield
        finally:
            try:
                self._remote.remove(pin)
            except StoreError as error:
                _log.info("a pin stays until it is old: %s", error)

    @contextlib.contextmanager
    def publishing(self, names: Collection[str]) -> Iterator[bool]:
        """Keep what is published in the block; gives True if anybody means to remove something of these names."""
        if self._marked().isdisjoint(names):
            yield False
            return
        with self.pinned(names):
            yield True

    def _marked(self) -> frozenset[str]:
        if self._marks is None or self._clock() - self._marks[0] > MEMORY:
            asked = self._clock()
            self._marks = (asked, frozenset(read_marks(self._remote)))
        return self._marks[1]

    def _wait_for(self, names: frozenset[str]) -> None:
        """Return once nobody is removing any of these."""
        since, first = self._clock(), self._remote.read(layout.SWEEPING)
        data = first
        while data is not None and not names.isdisjoint(_names(data)):
            if data != first:
                since, first = self._clock(), data
            elif self._clock() - since > WAIT_SECONDS:
                return  # its collector has stopped by its own rule, or is dead
            self._sleep(_POLL)
            data = self._remote.read(layout.SWEEPING)


def read_marks(remote: Remote) -> dict[str, float]:
    """What is marked, and since when (the store's clock). Damaged marks are none: then the grace period begins anew."""
    data = remote.read(layout.MARKS)
    try:
        found = {} if data is None else json_text.loads(data)
        return {str(name): float(since) for name, since in found.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        _log.warning("%s: %s is damaged (%s): the grace period begins anew", remote.id, layout.MARKS, error)
        return {}


def pins(remote: Remote, now: float) -> Iterator[tuple[Entry, bool]]:
    """All pins, and whether somebody may still need them. `now` is the store's clock."""
    for entry in remote.entries(layout.PINS):
        owner = owner_of_name(entry.name)
        young = entry.modified > now - _ABANDONED
        dead = owner is not None and owner.is_surely_dead()
        yield entry, not dead and (young or (owner is not None and owner.is_here()))


def pinned_names(remote: Remote, now: float) -> set[str]:
    """What living pins name."""
    found: set[str] = set()
    for entry, alive in pins(remote, now):
        if alive:
            found |= set((remote.read(entry.name) or b"").decode("ascii", "replace").split())
    return found


@contextlib.contextmanager
def sweeping(remote: Remote, names: Collection[str]) -> Iterator[None]:
    """The collector's side: say what is removed in the block."""
    remote.write(layout.SWEEPING, json.dumps({"by": temporary_name("gc"), "names": sorted(names)}).encode())
    try:
        yield
    finally:
        with contextlib.suppress(UnavailableError):  # then publishers wait for WAIT_SECONDS
            remote.remove(layout.SWEEPING)


def _names(data: bytes) -> frozenset[str]:
    try:
        return frozenset(json_text.loads(data)["names"])
    except (ValueError, KeyError, TypeError):
        return frozenset()  # written by nobody who knows the rules
