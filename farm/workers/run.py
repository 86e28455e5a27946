"""One run of a plan: it decides what is handed out and what follows from an end; hands do the work.

Who carries a step out (threads of this process, or a fleet of machines) is the hands' business; what a failure blocks,
what is urgent, what was never reached is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from farm.model.artifact import Artifact
from farm.model.events import Listener, State, StepEvent
from farm.model.plan import Plan, Step
from farm.process import Cancel
from farm.workers.hands import Hands, Report
from farm.workers.result import RunResult, StepOutcome
from farm.workers.schedule import Schedule


class Run:
    """The state of a run. `outcomes` holds the cached steps and grows to all. Only the main thread calls methods."""

    def __init__(
        self,
        *,
        plan: Plan,
        schedule: Schedule,
        outcomes: dict[str, StepOutcome],
        cancel: Cancel,
        tell: Listener,
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._outcomes = outcomes
        self._cancel = cancel
        self._tell = tell
        self._bugs: list[BaseException] = []

    def to_the_end(self, hands: Hands) -> RunResult:
        """Run until every step has ended, and close the hands. Raises what a bug in a step raised, and
        KeyboardInterrupt."""
        try:
            self._block(step.id for step in self._plan.steps if self._schedule.state(step.id) is State.BLOCKED)
            while hands.is_busy or not (self._schedule.is_over or self._cancel.is_set):
                while hands.has_room and not self._cancel.is_set and (step := self._schedule.take()):
                    hands.take(step, self._deps(step))
                for report in hands.reports():
                    self._take_in(report)
        except BaseException:
            self._cancel.set()
            raise
        finally:
            hands.close()
        self._end_cancelled()
        if self._bugs:
            raise self._bugs[0]
        return RunResult(outcomes={step.id: self._outcomes[step.id] for step in self._plan.steps})

    def _deps(self, step: Step) -> dict[str, Artifact]:
        found = {id_: self._outcomes[id_].artifact for id_ in step.requires}
        return {id_: artifact for id_, artifact in found.items() if artifact is not None}

    def _take_in(self, report: Report) -> None:
        if report.bug is not None:
            self._bugs.append(report.bug)
        self._record(report.outcome)
        if report.outcome.artifact is not None:
            self._schedule.finish(report.step.id, report.outcome.state)
        else:
            self._block(self._schedule.fail(report.step.id, report.outcome.state))

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
