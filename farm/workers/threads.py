"""Threads of this process as the hands of a run.

Other farm processes may work on the same FARM_HOME: a step that another one builds is put aside without using a slot,
and its result is taken when it is there. The lease of its key decides who builds.
"""

from __future__ import annotations

import functools
import queue
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.model.artifact import Artifact
from farm.model.events import Listener, State, StepEvent
from farm.model.plan import Step
from farm.process import Cancel
from farm.store.artifacts import Store
from farm.workers.hands import Report
from farm.workers.keeper import LeaseKeeper
from farm.workers.result import StepOutcome
from farm.workers.step import StepCancel, StepRunner, patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt, Lease

_POLL_SECONDS = 0.3  # how often the steps of other processes are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aside:
    """A step that another process builds, and its newest attempt when we first looked."""

    step: Step
    deps: Mapping[str, Artifact]
    attempt: Attempt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What a worker thread reports."""

    step: Step
    deps: Mapping[str, Artifact]
    outcome: StepOutcome
    lost: bool = False
    bug: BaseException | None = None


class ThreadHands:
    """As many steps at once as asked for, each under the lease of its key (see `farm.workers.hands.Hands`)."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        runner: StepRunner,
        cancel: Cancel,
        tell: Listener,
        jobs: int,
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._runner = runner
        self._cancel = cancel
        self._tell = tell
        self._jobs = max(1, jobs)
        self._seconds = lease_seconds
        self._aside: dict[str, _Aside] = {}
        self._running = 0
        self._ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._known: list[Report] = []  # ends of steps that no thread was needed for
        self._keeper = LeaseKeeper(ledger, lease_seconds)
        self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="farm-step")

    @property
    def has_room(self) -> bool:
        """A slot is free."""
        return self._running < self._jobs

    @property
    def is_busy(self) -> bool:
        """Steps of other processes are not waited for once the run is cancelled; ours are."""
        return self._running > 0 or bool(self._known)

    def take(self, step: Step, deps: Mapping[str, Artifact]) -> None:
        """Start it, or put it aside if another process has its lease."""
        if not self._begin(step, deps):
            self._put_aside(step, deps)

    def reports(self) -> list[Report]:
        """Wait for an end, but not long: the steps of others and the cancel token want to be looked at."""
        if not self._known:
            self._take_in()
        if not self._cancel.is_set:
            self._look_aside()
        known, self._known = self._known, []
        return known

    def close(self) -> None:
        """Wait for the threads and release the leases."""
        try:
            self._pool.shutdown(wait=True)
        finally:  # a second Ctrl-C
            self._keeper.close()

    def _take_in(self) -> None:
        try:
            ended = self._ended.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        self._running -= 1
        if ended.lost and ended.bug is None:
            self._put_aside(ended.step, ended.deps)
        else:
            self._known.append(Report(step=ended.step, outcome=ended.outcome, bug=ended.bug))

    def _look_aside(self) -> None:
        """See what became of the steps that other processes build; take over those that were given up."""
        for aside in list(self._aside.values()):
            artifact = patiently(functools.partial(self._store.get, aside.step.key), self._cancel)
            if artifact is not None:
                del self._aside[aside.step.id]
                self._take_over(aside.step, artifact)
            elif self.has_room and self._begin(aside.step, aside.deps, aside):
                del self._aside[aside.step.id]

    def _begin(self, step: Step, deps: Mapping[str, Artifact], aside: _Aside | None = None) -> bool:
        """Take the step's lease and start it; False if another process has the lease."""
        lease = patiently(lambda: self._ledger.lease(step.key, ttl=self._seconds), self._cancel)
        if lease is None:
            return False
        cancel = StepCancel(self._cancel)
        self._keeper.hold(lease, cancel.lose)
        # whoever had the lease before us may have built it
        artifact = patiently(lambda: self._store.get(step.key), self._cancel)
        if artifact is not None:
            self._keeper.drop(lease)
            self._take_over(step, artifact)
        elif aside is not None and (failed := self._failure_of_other(aside)):
            self._keeper.drop(lease)
            self._known.append(Report(step=step, outcome=failed))
        else:
            self._running += 1
            self._pool.submit(self._work, step, deps, lease, cancel)
        return True

    def _work(self, step: Step, deps: Mapping[str, Artifact], lease: Lease, cancel: StepCancel) -> None:
        """In a worker thread: whatever happens, one report comes back."""
        nothing = StepOutcome(step=step.id, state=State.CANCELLED, message="cancelled")
        ended = _Ended(step=step, deps=deps, outcome=nothing)
        try:
            outcome, bug = self._runner.run(step, deps, cancel)
            lost = cancel.lost and outcome.artifact is None and not self._cancel.is_set
            ended = _Ended(step=step, deps=deps, outcome=outcome, bug=bug, lost=lost)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            ended = _Ended(step=step, deps=deps, outcome=nothing, bug=error)
        finally:
            self._keeper.drop(lease)
            self._ended.put(ended)

    def _put_aside(self, step: Step, deps: Mapping[str, Artifact]) -> None:
        attempt = patiently(lambda: self._ledger.last_attempt(step.key), self._cancel)
        self._aside[step.id] = _Aside(step=step, deps=deps, attempt=attempt)
        holder = patiently(lambda: self._ledger.holder(step.key), self._cancel)
        who = f"process {holder.owner.pid} on {holder.owner.host}" if holder else "another process"
        self._tell(StepEvent(step=step.id, state=State.WAITING, message=f"waiting for {who}, which is building this"))

    def _failure_of_other(self, aside: _Aside) -> StepOutcome | None:
        """The failure of the process we waited for: its compiler error is ours, building again would only repeat it."""
        last = patiently(lambda: self._ledger.last_attempt(aside.step.key), self._cancel)
        if last is None or last.state is not State.FAILED:
            return None
        if aside.attempt is not None and aside.attempt.id == last.id and aside.attempt.state is State.FAILED:
            return None  # it had failed before the other process began
        message = f"{last.error}\n  (built by process {last.pid} on {last.host})"
        log = self._runner.log_path(aside.step)
        return StepOutcome(step=aside.step.id, state=State.FAILED, message=message, log=log if log.exists() else None)

    def _take_over(self, step: Step, artifact: Artifact) -> None:
        """Another process built it. It may have been killed before it said so: the ledger hears it from us then."""
        if artifact.key == step.key:  # else it stands in for a build
            patiently(lambda: self._ledger.record_artifacts([artifact]), self._cancel)
        outcome = StepOutcome(step=step.id, state=State.CACHED, artifact=artifact)
        self._known.append(Report(step=step, outcome=outcome))
