"""A fleet as the hands of a run: ready steps become signed jobs in the ledger, their ends are read there."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from farm.errors import FarmError, FleetError, UnavailableError, restored
from farm.fleet.offering import Offering
from farm.fleet.order import Order, Right
from farm.fleet.signing import Signer
from farm.fleet.waiting import Waiting
from farm.model.artifact import Artifact
from farm.model.events import State
from farm.model.job import JobEnd, JobState, NewJob
from farm.model.plan import Step
from farm.process import Cancel
from farm.store.artifacts import Store
from farm.store.home import log_of
from farm.workers.hands import Report
from farm.workers.result import StepOutcome
from farm.workers.step import patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.3
_GATHER_SECONDS = 0.05
_BATCH = 1000


def new_run() -> str:
    """A name for a run that no other run has."""
    return uuid.uuid4().hex


def submit(ledger: Ledger, new: Sequence[NewJob], cancel: Cancel) -> None:
    """Queue jobs, each once, in a ledger that may be away for a moment. Raises UnavailableError."""
    tries = itertools.count()
    patiently(lambda: ledger.submit_jobs(new, again=next(tries) > 0), cancel)


class FleetHands:
    """Hands out jobs of one run (see `farm.workers.hands.Hands`).

    `queue_of` gives the queue of a step and `urgency_of` its urgency; `wake` is told of new jobs (queue and key). Call
    `look` when a job may have ended: else that is seen a moment later.
    """

    def __init__(
        self,
        *,
        run: str,
        ledger: Ledger,
        store: Store,
        signer: Signer,
        catalog: str,
        rights: Right,
        queue_of: Callable[[Step], str],
        urgency_of: Callable[[Step], float],
        wake: Callable[[Iterable[tuple[str, str]]], None],
        cancel: Cancel,
        logs: Path,
    ) -> None:
        self.run = run
        self._ledger = ledger
        self._store = store
        self._signer = signer
        self._catalog = catalog
        self._rights: Right = rights
        self._queue_of = queue_of
        self._urgency_of = urgency_of
        self._wake = wake
        self._cancel = cancel
        self._logs = logs
        self._new: list[NewJob] = []
        self._out: dict[str, Step] = {}  # by key
        self._queues: set[str] = set()
        self._waiting = Waiting(ledger.queue_depths)
        self._offering = Offering(store)
        self._heard: tuple[JobEnd, ...] = ()
        self._look = threading.Event()

    @property
    def has_room(self) -> bool:
        """Always: a fleet takes what there is, the most urgent first."""
        return True

    @property
    def is_busy(self) -> bool:
        """A cancelled run waits for nobody: what workers have they finish, and it is found next time."""
        return False

    def look(self) -> None:
        """Something ended. From any thread."""
        self._look.set()

    def take(self, step: Step, deps: Mapping[str, Artifact]) -> None:
        """Queue it; the worker finds what it is built against by the plan, in the shared store."""
        self._offering.offer(deps.values())
        order = Order(kind="build", step=step.id, key=step.key, catalog=self._catalog, rights=self._rights).text()
        queue = self._queue_of(step)
        self._out[step.key] = step
        self._queues.add(queue)
        self._new.append(
            NewJob(
                run=self.run,
                key=step.key,
                what=step.id,
                queue=queue,
                payload=order,
                signature=self._signer.sign(order),
                signer=self._signer.name,
                urgency=self._urgency_of(step),
            )
        )
        if len(self._new) >= _BATCH:
            self._submit()

    def reports(self) -> list[Report]:
        """Queue what is new, then see what ended."""
        self._submit()
        if self._look.wait(_POLL_SECONDS):
            time.sleep(_GATHER_SECONDS)  # ends of short steps come together: one look for all of them
        self._look.clear()
        self._heard = patiently(lambda: self._ledger.ended_jobs(self.run, self._heard), self._cancel)
        self._waiting.look(self._queues, ended=bool(self._heard))
        return [self._report(end) for end in self._heard if end.key in self._out]

    def close(self) -> None:
        """Take back what no worker has taken."""
        try:
            count = patiently(lambda: self._ledger.cancel_jobs(self.run))
        except UnavailableError as error:
            _log.warning("queued jobs of this run stay in the queue: %s", error)
            return
        if count:
            _log.info("%d queued jobs were taken back; what workers have they finish", count)

    def _submit(self) -> None:
        if self._new:
            new, self._new = self._new, []
            submit(self._ledger, new, self._cancel)
            self._wake((job.queue, job.key) for job in new)

    def _report(self, end: JobEnd) -> Report:
        step = self._out.pop(end.key)
        log = log_of(self._logs, step.key)
        outcome = StepOutcome(step=step.id, state=State.FAILED, log=log if log.exists() else None)
        return Report(step=step, outcome=self._judged(step, end, outcome))

    def _judged(self, step: Step, end: JobEnd, failed: StepOutcome) -> StepOutcome:
        said, seconds = end.outcome, float(end.outcome.get("seconds", 0.0))
        if end.state is JobState.DONE:
            artifact = self._store.get(step.key)
            if artifact is not None:
                self._offering.has(artifact.key)
                state = State.CACHED if said.get("state") == State.CACHED else State.BUILT
                return StepOutcome(step=step.id, state=state, artifact=artifact, log=failed.log, seconds=seconds)
            error: FarmError = FleetError(
                f"its wheel, which {said.get('host', 'a worker')} made, is not in the store here",
                where=step.id,
                fix="give the workers and this machine the same store (FARM_STORE, docs/fleet.md)",
            )
            return StepOutcome(step=step.id, state=State.FAILED, error=error, message=str(error), log=failed.log)
        message = str(said.get("message", "it failed"))
        where = f"\n  (built on {said['host']})" if "host" in said else ""
        error = restored(str(said.get("kind", "")), message)
        return StepOutcome(
            step=step.id, state=State.FAILED, error=error, message=message + where, log=failed.log, seconds=seconds
        )
