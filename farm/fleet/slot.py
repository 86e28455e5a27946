"""One worker process: takes a job from the ledger, does it, takes the next.

It is killed, stopped or cut off at any moment: what it has is under a lease that then runs out, and what it says after
that does not count.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from farm.errors import FarmError, FleetError, StoreError, may_pass
from farm.fleet import trust
from farm.fleet.doing import Doer, Done, failure
from farm.fleet.order import Order, Right
from farm.log import about
from farm.model.events import StepEvent
from farm.model.job import Job, JobState
from farm.process import Cancel
from farm.store.jobs import MAX_ATTEMPTS
from farm.workers.keeper import LeaseKeeper
from farm.workers.step import StepCancel, patiently

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from farm.store.ledger import Ledger
    from farm.store.records import Lease

    _Taken = tuple[Job, Lease]

_log = logging.getLogger(__name__)
FLEET_LEASE_SECONDS = 3.0  # so that a step whose machine died runs elsewhere within 5 s
_LOOK_SECONDS = 2.0  # how often an idle slot that nobody wakes looks by itself
_PAUSE = 2.0  # seconds after a passing fault; doubled each time


class Screen(Protocol):
    """Where it is shown what a slot does."""

    def event(self, run: str, event: StepEvent) -> None: ...
    def ended(self, run: str) -> None: ...
    def job_log(self, job: Job) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Serves queues with the doers it has (by kind of order), for orders that keys in `trusted` sign with `right`.
    While nobody is trusted, it takes none."""

    ledger: Ledger
    queues: Sequence[str]
    doers: Mapping[str, Doer]
    trusted: trust.TrustFile
    right: Right
    screen: Screen
    lease_seconds: float = FLEET_LEASE_SECONDS

    def serve(self, stop: Cancel, no_more: threading.Event, wake: threading.Event) -> None:
        """Work until `stop` is set, which ends what is at work and gives it back, or `no_more`, which does not.

        `wake` ends the wait of an idle slot.
        """
        keeper = LeaseKeeper(self.ledger, self.lease_seconds)
        try:
            taken: _Taken | None = None
            while taken or not (stop.is_set or no_more.is_set()):
                taken = taken or (self._claim() if self.trusted.keys() else None)
                if taken is None:
                    wake.wait(_LOOK_SECONDS)
                    wake.clear()
                    continue
                with about(step=taken[0].what):
                    taken = self._carry_out(*taken, keeper, stop, no_more)
        finally:
            keeper.close()

    def _claim(self) -> _Taken | None:
        try:
            return self.ledger.claim_job(self.queues, ttl=self.lease_seconds)
        except StoreError as error:
            _log.warning("no job: %s", error)
            return None

    def _carry_out(
        self, job: Job, lease: Lease, keeper: LeaseKeeper, stop: Cancel, no_more: threading.Event
    ) -> _Taken | None:
        """Do a job and say what it came to; gives the next one, if that was taken at the same time."""
        cancel = StepCancel(stop)
        keeper.hold(lease, cancel.lose)
        try:
            done = self._done(job, cancel)
        finally:
            keeper.forget(lease)
        if cancel.lost:
            _log.warning("another worker took it over; what this one found does not count")
            return None
        queues = self.queues if self.trusted.keys() and not (stop.is_set or no_more.is_set()) else ()
        written, taken = patiently(lambda: self._write(job, lease, done, stop, queues))
        self.screen.ended(job.run)
        if not written:
            _log.warning("another worker says what became of it")
        return taken

    def _done(self, job: Job, cancel: StepCancel) -> Done:
        try:
            order = Order.read(job.payload)
            signed = trust.Signed(signer=job.signer, text=job.payload, signature=job.signature)
            trust.check(self.trusted.keys(), signed, order, self.ledger.clock)
            if order.rights != self.right or order.key != job.key:
                raise FleetError("is in a queue where it does not belong", where="job", fix="find out who put it there")
            doer = self.doers[order.kind]
            with self.screen.job_log(job):
                return doer(order, cancel, lambda event: self.screen.event(job.run, event))
        except (FarmError, OSError) as error:
            if isinstance(error, FleetError):
                _log.warning("refused: %s", error)
            return Done(ok=False, said=failure(error), error=error)
        except Exception as error:  # noqa: BLE001 - a bug: whoever asked hears of it, and the worker goes on
            _log.exception("internal error")
            return Done(ok=False, said=failure(error, f"internal error: {error!r}"), error=error)

    def _write(
        self, job: Job, lease: Lease, done: Done, stop: Cancel, queues: Sequence[str]
    ) -> tuple[bool, _Taken | None]:
        """Say what became of a job. What was only interrupted, or met a fault that may pass, is queued again."""
        if done.ok:
            return self.ledger.finish_and_claim(lease, job, JobState.DONE, done.said, queues)
        if stop.is_set:
            return self.ledger.give_back(lease, job), None
        if may_pass(done.error) and job.attempts < MAX_ATTEMPTS:
            return self.ledger.delay_job(lease, job, _PAUSE * 2 ** (job.attempts - 1)), None
        return self.ledger.finish_and_claim(lease, job, JobState.FAILED, done.said, queues)
