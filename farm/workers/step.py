"""Running one step here: attempts, retries, and what is written down about them."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from farm.errors import FarmError, ProcessError, StoreError, UnavailableError
from farm.log import about, happened
from farm.model.artifact import Artifact
from farm.model.events import Listener, State, StepEvent
from farm.model.plan import Step
from farm.process import Cancel, Cost, measured
from farm.store.files import store_error
from farm.store.home import log_of
from farm.workers.result import StepOutcome

if TYPE_CHECKING:
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)
T = TypeVar("T")

_RETRIES = 3
_FIRST_PAUSE = 1.0  # seconds; doubled each time
_LEDGER_PATIENCE = 60.0  # seconds that a database may be away (a restart) before the run gives up
_TICK = 0.1


class RunStep(Protocol):
    """Builds one step: `deps` are the artifacts of its requirements by step id, in order.

    It stores the wheel (`Store.put`) and returns its artifact; it raises a FarmError if the step fails, one with
    `retryable = True` if the fault is the infrastructure's. Programs run under `cancel`.
    """

    def __call__(
        self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report_phase: Reporter, /
    ) -> Artifact: ...


class StepCancel(Cancel):
    """Cancels one step; the run's own token cancels it too."""

    def __init__(self, parent: Cancel) -> None:
        super().__init__()
        self._parent = parent
        self.lost = False

    @property
    def is_set(self) -> bool:
        """True if this step or the whole run is cancelled."""
        return super().is_set or self._parent.is_set

    def enter(self, child: Any) -> None:
        """Either token kills this program."""
        self._parent.enter(child)
        super().enter(child)

    def leave(self, child: Any) -> None:
        """Neither does any more."""
        self._parent.leave(child)
        super().leave(child)

    def lose(self) -> None:
        """The step's lease went to another process."""
        self.lost = True
        self.set()


class Reporter:
    """Given to a step to say where it is: ``report("configure")``.

    Raises ProcessError if the step is cancelled, so that steps stop between programs too.
    """

    def __init__(
        self, step: Step, cancel: StepCancel, listener: Listener, note: Callable[[str], None] = lambda _phase: None
    ) -> None:
        self._step = step
        self._cancel = cancel
        self._listener = listener
        self._note = note  # told of each new phase
        self._started = time.monotonic()
        self.phase = ""

    @property
    def seconds(self) -> float:
        """How long the step has been at work."""
        return time.monotonic() - self._started

    def __call__(self, phase: str, message: str = "") -> None:
        if self._cancel.is_set:
            raise ProcessError("cancelled", where=self._step.id)
        entered, self.phase = phase != self.phase, phase
        self.tell(State.RUNNING, message)
        if entered:
            happened(f"begins {phase}", phase=phase)
            self._note(phase)

    def tell(self, state: State, message: str = "") -> None:
        """Tell the listener."""
        phase = self.phase if state is State.RUNNING else ""
        self._listener(StepEvent(step=self._step.id, state=state, phase=phase, seconds=self.seconds, message=message))


class StepRunner:
    """Runs steps whose lease this process holds. Safe for threads."""

    def __init__(
        self, run_step: RunStep, ledger: Ledger, logs: Path, listener: Listener, *, store: Store | None = None
    ) -> None:
        self._store = store  # whose shared store gets the logs
        self._run_step = run_step
        self._ledger = ledger
        self._logs = logs
        self._listener = listener

    def run(self, step: Step, deps: Mapping[str, Artifact], cancel: StepCancel) -> tuple[StepOutcome, Exception | None]:
        """Run a step to its end, trying again after faults of the infrastructure.

        The second value is an exception that is a bug of the farm itself; it is in the step's log too.
        """
        with about(step=step.id):
            pause = _FIRST_PAUSE
            for _ in range(_RETRIES):
                outcome, bug = self._attempt(step, deps, cancel)
                if not getattr(outcome.error, "retryable", False) or outcome.state is not State.FAILED:
                    return outcome, bug
                _log.warning("%s; trying again in %g s", outcome.message, pause)
                self._ledger.tally_softly("retry", "step")
                wait_unless(cancel, pause)
                pause *= 2
            return self._attempt(step, deps, cancel)

    def log_path(self, step: Step) -> Path:
        """Where the output of a step's build goes."""
        return log_of(self._logs, step.key)

    def _attempt(
        self, step: Step, deps: Mapping[str, Artifact], cancel: StepCancel
    ) -> tuple[StepOutcome, Exception | None]:
        report = Reporter(step, cancel, self._listener, lambda phase: self._note_phase(number, phase))
        log = self.log_path(step)
        bug: Exception | None = None
        artifact: Artifact | None = None
        error: FarmError | None = None
        number = 0
        cost = Cost()
        try:
            number = patiently(lambda: self._ledger.start_attempt(step.key, log=str(log)), cancel)
            report.tell(State.RUNNING)
            with measured() as cost:
                artifact = self._run_step(step, deps, cancel, report)
            state, message = State.BUILT, ""
        except FarmError as raised:
            error = raised
            state, message = (State.CANCELLED, "cancelled") if cancel.is_set else (State.FAILED, str(raised))
        except OSError as raised:  # full disk, no permission: not a bug, and nothing another step needs to end for
            error = store_error(raised)
            state, message = State.FAILED, str(error)
            _log.debug("refused by the system", exc_info=raised)
        except Exception as raised:  # noqa: BLE001 - a bug: run_plan raises it once the other steps have ended
            bug = raised
            state, message = State.FAILED, f"internal error: {raised!r}"
            _append_traceback(log, raised)
        if number:
            self._finish(number, state, message, report, cost, artifact, cancel)
            self._keep_log(number, step.key, log)
        _say_ended(state, message, report, cost, error or bug)
        outcome = StepOutcome(
            step=step.id,
            state=state,
            artifact=artifact,
            error=error,
            message=message,
            log=log if log.exists() else None,
            seconds=report.seconds,
        )
        return outcome, bug

    def _note_phase(self, number: int, phase: str) -> None:
        """Let `farm status` of another process see the phase. No build fails, or waits, for this."""
        try:
            self._ledger.set_phase(number, phase)
        except StoreError as error:
            _log.debug("phase %s is not in the ledger: %s", phase, error)

    def _finish(
        self,
        number: int,
        state: State,
        message: str,
        report: Reporter,
        cost: Cost,
        artifact: Artifact | None,
        cancel: Cancel,
    ) -> None:
        """Write the end of an attempt down. The outcome counts even if the ledger cannot be written (disk full)."""
        try:
            patiently(
                lambda: self._ledger.finish_attempt(
                    number,
                    state,
                    phase=report.phase,
                    error=message,
                    seconds=report.seconds,
                    cpu_seconds=cost.cpu_seconds,
                    artifact=artifact,
                ),
                cancel,
            )
        except StoreError as error:
            _log.warning("the end of this attempt (%s) is not in the ledger: %s", state, error)

    def _keep_log(self, number: int, key: str, log: Path) -> None:
        if self._store is not None:
            from farm.store.logs import keep_log

            keep_log(self._store, key, number, log)


def _say_ended(state: State, message: str, report: Reporter, cost: Cost, error: Exception | None) -> None:
    """The end of an attempt, for programs; people see it in the progress display."""
    text = ": ".join(filter(None, (state, message.partition("\n")[0])))
    spent = {"seconds": round(report.seconds, 3), "cpu_seconds": round(cost.cpu_seconds, 3)}
    happened(text, error=error, state=state.value, phase=report.phase, **spent)


def patiently(call: Callable[[], T], cancel: Cancel | None = None) -> T:
    """Ask a ledger that may be away for a moment. Raises what it raises once patience is over, or when cancelled."""
    deadline = time.monotonic() + _LEDGER_PATIENCE
    pause = _TICK
    while True:
        try:
            return call()
        except UnavailableError:
            if time.monotonic() > deadline or (cancel is not None and cancel.is_set):
                raise
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def wait_unless(cancel: Cancel, seconds: float) -> None:
    """Sleep, but wake up soon when cancelled."""
    end = time.monotonic() + seconds
    while not cancel.is_set and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _TICK))


def _append_traceback(log: Path, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    _log.error("internal error\n%s", text)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"\ninternal error of the farm:\n{text}")
    except OSError as reason:
        _log.warning("the traceback could not be written to %s: %s", log, reason)
