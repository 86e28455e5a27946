"""A worker: one machine's slots, each a process, kept alive and woken by this parent.

The parent takes no jobs. It hears Redis, looks at the ledger for work that nobody was woken for and for workers that
died. When a slot dies, a spare process that has loaded everything takes its place. Slots go on with what they have when
the parent dies, and then leave.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from farm.errors import StoreError
from farm.process import Child

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5  # how often the ledger is looked at
_TICK = 0.1
_GRACE = 30.0  # seconds that slots have to give back what they have
_SHORT_LIFE = 5.0  # a slot that lived shorter is started again after a rest
_REST = 2.0


class Worker:
    """Keeps `count` slots at work for some queues. `start` starts one."""

    def __init__(
        self, ledger: Ledger, queues: Sequence[str], start: Callable[[], Child], count: int, lease_seconds: float
    ) -> None:
        self._ledger = ledger
        self._queues = tuple(queues)
        self._start = start
        self._count = count
        self._seconds = lease_seconds
        self._slots: dict[Child, float] = {}
        self._spare: Child | None = None
        self._not_before = 0.0
        self._woken = threading.Event()
        self._ends = False

    def wake(self) -> None:
        """Let idle slots look at the ledger now. From any thread."""
        self._woken.set()

    def serve(self) -> None:
        """Until SIGINT or SIGTERM: then every slot gives back what it has, and KeyboardInterrupt is raised."""
        with _told_once(self._end):
            self._serve()
        raise KeyboardInterrupt

    def _end(self) -> None:
        self._ends = True
        self._woken.set()

    def _serve(self) -> None:
        look = 0.0
        try:
            while not self._ends:
                self._keep_alive()
                now = time.monotonic()
                if now >= look:
                    look = now + _LOOK_SECONDS
                    self._look()
                if self._woken.wait(_TICK):
                    self._woken.clear()
                    for slot in self._slots:
                        slot.say(b"\n")
        finally:
            every = [*self._slots, *([self._spare] if self._spare else [])]
            for slot in every:
                slot.interrupt()
            deadline = time.monotonic() + _GRACE
            for slot in every:
                slot.finish(max(0.1, deadline - time.monotonic()))

    def _keep_alive(self) -> None:
        now = time.monotonic()
        for slot, since in list(self._slots.items()):
            code = slot.ended()
            if code is None:
                continue
            del self._slots[slot]
            slot.finish(0.1)
            _log.warning("slot %d ended (%s); its job is handed out again", slot.pid, _how(code))
            if code > 0 and now - since < _SHORT_LIFE:
                self._not_before = now + _REST
            self._look()
        if now < self._not_before:
            return
        while len(self._slots) < self._count:
            slot, self._spare = self._spare or self._start(), None
            slot.say(b"\n")
            self._slots[slot] = now
        if self._spare is not None and (code := self._spare.ended()) is not None:
            self._spare.finish(0.1)
            self._spare, self._not_before = None, now + (_REST if code > 0 else 0.0)
        elif self._spare is None:
            self._spare = self._start()

    def _look(self) -> None:
        """Queue what dead workers had; wake the slots if there is something to do."""
        try:
            self._ledger.requeue_lost(self._queues, self._seconds)
            if self._ledger.has_queued(self._queues):
                self._woken.set()
        except StoreError as error:
            _log.warning("the ledger was not looked at: %s", error)


@contextlib.contextmanager
def _told_once(tell: Callable[[], None]) -> Iterator[None]:
    """Of SIGINT and SIGTERM the first only tells, the next does what it did before. An exception in the middle of a
    question to the ledger may be lost: the driver cancels the question, and that is what is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def put_back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def told(*_: object) -> None:
        put_back()
        tell()

    before = {each: signal.signal(each, told) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        put_back()


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
