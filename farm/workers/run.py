"""One run of a plan: the main thread decides, worker threads build.

Other farm processes may work on the same FARM_HOME: a step that another one builds is put aside without using a slot,
and its result is taken when it is there. The lease of its key decides who builds.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.model.artifact import Artifact
from farm.model.events import Listener, State, StepEvent
from farm.model.plan import Plan, Step
from farm.process import Cancel
from farm.store.artifacts import Store
from farm.workers.keeper import LeaseKeeper
from farm.workers.result import RunResult, StepOutcome
from farm.workers.schedule import Schedule
from farm.workers.step import StepCancel, StepRunner, patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt, Lease

_POLL_SECONDS = 0.3  # how often the steps of other processes, and the run's cancel token, are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aside:
    """A step that another process builds, and its newest attempt when we first looked."""

    step: Step
    attempt: Attempt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What a worker thread reports."""

    step: Step
    outcome: StepOutcome
    lost: bool = False
    bug: BaseException | None = None


class Run:
    """The state of a run. `outcomes` holds the cached steps and grows to all. Only the main thread calls methods."""

    def __init__(
        self,
        *,
        plan: Plan,
        schedule: Schedule,
        outcomes: dict[str, StepOutcome],
        store: Store,
        ledger: Ledger,
        runner: StepRunner,
        cancel: Cancel,
        tell: Listener,
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._outcomes = outcomes
        self._store = store
        self._ledger = ledger
        self._runner = runner
        self._cancel = cancel
        self._tell = tell
        self._aside: dict[str, _Aside] = {}
        self._running = 0
        self._ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._bugs: list[BaseException] = []

    def to_the_end(self, *, jobs: int, lease_seconds: float) -> RunResult:
        """Run until every step has ended. Raises what a bug in a step raised, and KeyboardInterrupt."""
        self._block(step.id for step in self._plan.steps if self._schedule.state(step.id) is State.BLOCKED)
        keeper = LeaseKeeper(self._ledger, lease_seconds)
        pool = ThreadPoolExecutor(max(1, jobs), thread_name_prefix="farm-step")
        try:
            while self._goes_on():
                if not self._cancel.is_set:
                    self._look_aside(pool, keeper, max(1, jobs), lease_seconds)
                    self._hand_out(pool, keeper, max(1, jobs), lease_seconds)
                self._take_in()
        except BaseException:
            self._cancel.set()
            raise
        finally:
            try:
                pool.shutdown(wait=True)
            finally:  # a second Ctrl-C
                keeper.close()
        self._end_cancelled()
        if self._bugs:
            raise self._bugs[0]
        return RunResult(outcomes={step.id: self._outcomes[step.id] for step in self._plan.steps})

    def _goes_on(self) -> bool:
        return self._running > 0 or not (self._schedule.is_over or self._cancel.is_set)

    def _hand_out(self, pool: ThreadPoolExecutor, keeper: LeaseKeeper, jobs: int, seconds: float) -> None:
        """Start ready steps while slots are free."""
        while self._running < jobs and not self._cancel.is_set and (step := self._schedule.take()):
            if not self._begin(step, pool, keeper, seconds):
                self._put_aside(step)

    def _look_aside(self, pool: ThreadPoolExecutor, keeper: LeaseKeeper, jobs: int, seconds: float) -> None:
        """See what became of the steps that other processes build; take over those that were given up."""
        for aside in list(self._aside.values()):
            artifact = self._store.get(aside.step.key)
            if artifact is not None:
                del self._aside[aside.step.id]
                self._take_over(aside.step, artifact)
            elif self._running < jobs and self._begin(aside.step, pool, keeper, seconds, aside):
                del self._aside[aside.step.id]

    def _begin(
        self, step: Step, pool: ThreadPoolExecutor, keeper: LeaseKeeper, seconds: float, aside: _Aside | None = None
    ) -> bool:
        """Take the step's lease and start it; False if another process has the lease."""
        lease = patiently(lambda: self._ledger.lease(step.key, ttl=seconds), self._cancel)
        if lease is None:
            return False
        cancel = StepCancel(self._cancel)
        keeper.hold(lease, cancel.lose)
        artifact = self._store.get(step.key)  # whoever had the lease before us may have built it
        if artifact is not None:
            keeper.drop(lease)
            self._take_over(step, artifact)
        elif aside is not None and (failed := self._failure_of_other(aside)):
            keeper.drop(lease)
            self._fail(failed)
        else:
            self._running += 1
            pool.submit(self._work, step, self._deps(step), lease, keeper, cancel)
        return True

    def _work(
        self, step: Step, deps: dict[str, Artifact], lease: Lease, keeper: LeaseKeeper, cancel: StepCancel
    ) -> None:
        """In a worker thread: whatever happens, one report comes back."""
        ended = _Ended(step=step, outcome=StepOutcome(step=step.id, state=State.CANCELLED, message="cancelled"))
        try:
            outcome, bug = self._runner.run(step, deps, cancel)
            lost = cancel.lost and outcome.artifact is None and not self._cancel.is_set
            ended = _Ended(step=step, outcome=outcome, bug=bug, lost=lost)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            ended = _Ended(step=step, outcome=ended.outcome, bug=error)
        finally:
            keeper.drop(lease)
            self._ended.put(ended)

    def _deps(self, step: Step) -> dict[str, Artifact]:
        found = {id_: self._outcomes[id_].artifact for id_ in step.requires}
        return {id_: artifact for id_, artifact in found.items() if artifact is not None}

    def _take_in(self) -> None:
        """Wait for a report, but not long: the steps of others and the cancel token want to be looked at."""
        try:
            ended = self._ended.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        self._running -= 1
        if ended.bug is not None:
            self._bugs.append(ended.bug)
        if ended.lost:
            self._put_aside(ended.step)
        elif ended.outcome.artifact is not None:
            self._finish(ended.outcome)
        else:
            self._fail(ended.outcome)

    def _put_aside(self, step: Step) -> None:
        attempt = patiently(lambda: self._ledger.last_attempt(step.key), self._cancel)
        self._aside[step.id] = _Aside(step=step, attempt=attempt)
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
        patiently(lambda: self._ledger.record_artifacts([artifact]), self._cancel)
        self._finish(StepOutcome(step=step.id, state=State.CACHED, artifact=artifact))

    def _finish(self, outcome: StepOutcome) -> None:
        self._record(outcome)
        self._schedule.finish(outcome.step, outcome.state)

    def _fail(self, outcome: StepOutcome) -> None:
        self._record(outcome)
        self._block(self._schedule.fail(outcome.step, outcome.state))

    def _block(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            culprit = self._schedule.culprit(id_)
            cause = self._outcomes.get(culprit)
            if cause is not None and cause.state is State.CANCELLED:
                continue  # it was not refused, only never reached: _end_cancelled says so
            failed = ", which failed" if cause is not None else ""
            self._record(StepOutcome(step=id_, state=State.BLOCKED, message=f"needs {culprit}{failed}"))

    def _end_cancelled(self) -> None:
        """Steps that a cancelled run never reached."""
        for step in self._plan.steps:
            if step.id not in self._outcomes:
                self._record(StepOutcome(step=step.id, state=State.CANCELLED, message="the run was cancelled"))

    def _record(self, outcome: StepOutcome) -> None:
        self._outcomes[outcome.step] = outcome
        self._tell(StepEvent(step=outcome.step, state=outcome.state, seconds=outcome.seconds, message=outcome.message))
