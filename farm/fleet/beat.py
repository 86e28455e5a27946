"""The clock of a fleet: what has to happen though nobody asks. Any number may run; none is needed for safety."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from farm.errors import FarmError, StoreError
from farm.fleet.beside import beside
from farm.process import Cancel

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)
_TICK = 0.5
_DEPTHS_SECONDS = 5.0
_SWEEP_SECONDS = 3600.0


class Beat:
    """Hands out again what dead workers had, rings for what waits, forgets old jobs, and calls `due` every so often.

    `wake` is told of queues in which something waits; `due_seconds` 0: never.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        wake: Callable[[Iterable[tuple[str, str]]], None],
        lease_seconds: float,
        keep_days: float,
        due: Callable[[], None],
        due_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._wake = wake
        self._lease_seconds = lease_seconds
        self._keep_days = keep_days
        self._queues: tuple[str, ...] = ()
        self._tasks: list[tuple[float, Callable[[], None]]] = [
            (0.0, self._requeue),
            (_DEPTHS_SECONDS, self._ring),
            (_SWEEP_SECONDS, self._sweep),
        ]
        if due_seconds:
            self._tasks.append((due_seconds, due))
        self._next = [0.0] * len(self._tasks)

    def serve(self, stop: Cancel) -> None:
        """Until KeyboardInterrupt, which sets `stop`: what a task runs under it is ended then."""
        rest = threading.Event()

        def work() -> None:
            while not stop.is_set:
                self.tick(time.monotonic())
                rest.wait(_TICK)

        def end() -> None:
            stop.set()
            rest.set()

        beside(work, end, "farm-beat")

    def tick(self, now: float) -> None:
        """Do what is due at a moment of the monotonic clock. What fails is tried again the next time."""
        for number, (seconds, task) in enumerate(self._tasks):
            if now < self._next[number]:
                continue
            self._next[number] = now + seconds
            try:
                task()
            except StoreError as error:
                _log.warning("the ledger: %s", error)
            except (FarmError, OSError) as error:
                _log.error("%s", error)

    def _requeue(self) -> None:
        if self._queues and (count := self._ledger.requeue_lost(self._queues, self._lease_seconds)):
            _log.info("%d jobs of workers that are gone are queued again", count)

    def _ring(self) -> None:
        depths = self._ledger.queue_depths()
        self._queues = tuple(depth.queue for depth in depths)
        self._wake((depth.queue, "") for depth in depths if depth.queued)

    def _sweep(self) -> None:
        if count := self._ledger.sweep_jobs(self._keep_days):
            _log.info("%d jobs that ended long ago are forgotten", count)
