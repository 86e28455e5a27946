"""Advancing a cascade: ready tasks out, results in. Any process may call it, at any time, and be killed at any time.

What is known is in the ledger: a task's state, what it still waits for, the lease of whoever works on it. So a call
reads the ready tasks only, and two calls at once share them. `not run` counts as done, with its reason.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cascade import faults
from farm.cascade.hands import Deed, Hands
from farm.cascade.settling import settle
from farm.errors import FarmError
from farm.log import about, happened
from farm.model.cascade import AT_WORK, Cascade, CascadeTask
from farm.model.outcome import Outcome
from farm.model.rework import Verb
from farm.process import Cancel
from farm.workers.keeper import LeaseKeeper
from farm.workers.step import StepCancel, patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger
    from farm.store.records import Lease

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """Something happened to a task. `what` is ``began``, ``passed``, ``reused``, ``not run``, ``failed``, ``retries``
    (later) or ``lost`` (another process decides it)."""

    task: CascadeTask
    what: str
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How a call ended. `elsewhere` counts tasks that other processes work on; `next_try` is in how many seconds a task
    that met a passing fault is tried again, None if there is none; `done` counts what this call carried out;
    `staged_elsewhere` if another process is staging the cascade."""

    cascade: Cascade
    elsewhere: int = 0
    next_try: float | None = None
    done: int = 0
    staged_elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    task: CascadeTask
    lease: Lease
    deed: Deed | None
    lost: bool = False
    bug: BaseException | None = None


def _ignore(event: TaskEvent) -> None:
    del event


class Advance:
    """One call. Only the main thread calls methods; `tell` is called from it, too."""

    def __init__(
        self,
        cascade: Cascade,
        *,
        ledger: Ledger,
        hands: Hands,
        jobs: int = 1,
        cancel: Cancel | None = None,
        tell: Callable[[TaskEvent], None] = _ignore,
        lease_seconds: float = 0.0,
    ) -> None:
        from farm.store.leases import LEASE_SECONDS

        self._cascade = cascade
        self._ledger = ledger
        self._hands = hands
        self._jobs = max(1, jobs)
        self._cancel = cancel or Cancel()
        self._tell = tell
        self._seconds = lease_seconds or LEASE_SECONDS
        self._running: set[int] = set()
        self._elsewhere: set[int] = set()
        self._ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._bugs: list[BaseException] = []
        self._done = 0

    def to_the_end(self) -> Advanced:
        """Carry out what can be carried out now. Raises StoreError if the ledger is gone, KeyboardInterrupt, and what a
        bug raised, after the tasks that were running have ended."""
        with about(cascade=self._cascade.id):
            return self._to_the_end()

    def _to_the_end(self) -> Advanced:
        self._cascade = settle(self._ledger, self._cascade.id, self._cancel)
        if self._cascade.state not in AT_WORK:
            return Advanced(cascade=self._cascade)
        keeper = LeaseKeeper(self._ledger, self._seconds)
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="farm-cascade")
        try:
            self._hand_out(pool, keeper)
            while self._running:
                self._take_in(keeper)
                self._hand_out(pool, keeper)
        except BaseException:
            self._cancel.set()
            raise
        finally:
            try:
                pool.shutdown(wait=True)
            finally:  # a second Ctrl-C
                keeper.close()
        if self._bugs:
            raise self._bugs[0]
        return Advanced(
            cascade=settle(self._ledger, self._cascade.id, self._cancel),
            elsewhere=len(self._elsewhere),
            next_try=patiently(lambda: self._ledger.next_try(self._cascade.id), self._cancel),
            done=self._done,
        )

    def _hand_out(self, pool: ThreadPoolExecutor, keeper: LeaseKeeper) -> None:
        """Start ready tasks while slots are free."""
        self._elsewhere.clear()
        while len(self._running) < self._jobs and not self._cancel.is_set and not self._bugs:
            busy = self._running | self._elsewhere
            limit = len(busy) + self._jobs
            found = self._ready(limit)
            new = [task for task in found if task.position not in busy]
            for task in new[: self._jobs - len(self._running)]:
                self._begin(task, pool, keeper)
            if not new:
                return

    def _ready(self, limit: int) -> tuple[CascadeTask, ...]:
        return patiently(lambda: self._ledger.ready_tasks(self._cascade.id, limit), self._cancel)

    def _begin(self, task: CascadeTask, pool: ThreadPoolExecutor, keeper: LeaseKeeper) -> None:
        """Take the lease of a task and start it, or find its result; put it aside if another process has it."""
        lease = patiently(lambda: self._ledger.lease(self._hands.key_of(task), ttl=self._seconds), self._cancel)
        if lease is None:
            self._elsewhere.add(task.position)
            return
        cancel = StepCancel(self._cancel)
        keeper.hold(lease, cancel.lose)
        try:
            if self._is_known(task):
                if self._ledger_finish(lease, task, note="", took=0.0, reused=True):
                    self._tell(TaskEvent(task=task, what="reused"))
                keeper.drop(lease)
                return
        except BaseException:
            keeper.drop(lease)
            raise
        self._running.add(task.position)
        self._tell(TaskEvent(task=task, what="began"))
        pool.submit(self._work, task, lease, cancel)

    def _is_known(self, task: CascadeTask) -> bool:
        """Whether the result is there already: whoever had the lease before us may have made it."""
        if task.verb is Verb.TEST:
            return patiently(lambda: self._ledger.has_passed(task.key), self._cancel)
        return self._hands.has(task)

    def _work(self, task: CascadeTask, lease: Lease, cancel: StepCancel) -> None:
        """In a worker thread: whatever happens, one report comes back."""
        started = time.monotonic()
        deed: Deed | None = None
        bug: BaseException | None = None
        try:
            with about(cascade=task.cascade, step=task.step, platform=task.platform):
                deed = self._hands.carry_out(self._cascade, task, cancel)
        except (FarmError, OSError) as error:  # a full disk where the task is handed out from: no bug
            deed = Deed(outcome=Outcome.FAILED, reason=str(error), seconds=time.monotonic() - started, error=error)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            bug = error
            if isinstance(error, Exception):
                seconds = time.monotonic() - started
                deed = Deed(outcome=Outcome.FAILED, reason=f"internal error: {error!r}", seconds=seconds)
        self._ended.put(_Ended(task=task, lease=lease, deed=deed, bug=bug, lost=cancel.lost))

    def _take_in(self, keeper: LeaseKeeper) -> None:
        try:
            ended = self._ended.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        self._running.discard(ended.task.position)
        if ended.bug is not None:
            self._bugs.append(ended.bug)
        try:
            if ended.deed is not None and not self._cancel.is_set:
                self._record(ended.task, ended.lease, ended.deed)
        finally:
            keeper.drop(ended.lease)

    def _record(self, task: CascadeTask, lease: Lease, deed: Deed) -> None:
        """Write down what a task came to, if its lease is still ours: else another process says it."""
        if deed.outcome is not Outcome.FAILED:
            note = deed.reason or "not run" if deed.outcome is Outcome.NOT_RUN else ""
            written = self._ledger_finish(lease, task, note=note, took=deed.seconds, reused=False)
            what, self._done = ("not run" if note else "passed"), self._done + 1
        elif faults.may_pass(deed.error) and task.attempts + 1 < faults.MAX_ATTEMPTS:
            seconds = faults.pause(task.attempts + 1)
            written = patiently(
                lambda: self._ledger.delay_task(lease, task, error=deed.reason, seconds=seconds), self._cancel
            )
            what = "retries"
        else:
            written = patiently(
                lambda: self._ledger.fail_task(lease, task, error=deed.reason, took=deed.seconds), self._cancel
            )
            what = "failed"
        if not written:
            _log.warning("%s is decided by another process; what this one found does not count", task.id)
            what = "lost"
        with about(step=task.step, platform=task.platform):
            happened(f"{task.verb} {what}", task=task.id, outcome=what, seconds=round(deed.seconds, 3), why=deed.reason)
        self._tell(TaskEvent(task=task, what=what, message=deed.reason, seconds=deed.seconds))

    def _ledger_finish(self, lease: Lease, task: CascadeTask, *, note: str, took: float, reused: bool) -> bool:
        return patiently(
            lambda: self._ledger.finish_task(lease, task, note=note, took=took, reused=reused), self._cancel
        )
