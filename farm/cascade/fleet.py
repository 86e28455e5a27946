"""A fleet as the hands of a cascade: each task becomes a signed job; the worker that takes it has the farm's own hands.

The worker holds the lease of the task's key, as whoever builds or tests something does, on a fleet or not: nothing is
done twice at once, though the one who asked was killed and somebody else asks for the same. Whoever advances the
cascade holds the lease of a key made from it, and writes down what the task came to.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from farm.cascade.doing import FarmHands
from farm.cascade.hands import Deed
from farm.errors import FarmError, FleetError, restored
from farm.fleet import bundle, queues
from farm.fleet.doing import Done, failure
from farm.fleet.hands import submit
from farm.fleet.offering import Offering
from farm.fleet.order import Order, Right
from farm.fleet.signing import Signer
from farm.fleet.waiting import Waiting
from farm.model.cascade import Cascade, CascadeTask
from farm.model.events import Listener
from farm.model.job import JobEnd, JobState, NewJob
from farm.model.outcome import Outcome
from farm.model.rework import Verb
from farm.process import Cancel
from farm.store import frozen
from farm.workers.step import StepCancel, patiently

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.3
_PRIORITY_SECONDS = 1e6  # a cascade of higher priority goes before any chain of work of a lower one


class FleetTaskHands:
    """Has tasks carried out by workers (see `farm.cascade.hands.Hands`). Close it when the cascade was advanced.

    `own` says what is stored here and reads frozen catalogs; `wake` is told of new jobs (queue and key).
    """

    def __init__(
        self,
        *,
        run: str,
        own: FarmHands,
        signer: Signer,
        rights: Right,
        wake: Callable[[Iterable[tuple[str, str]]], None],
    ) -> None:
        self._run = run
        self._own = own
        self._signer = signer
        self._rights: Right = rights
        self._wake = wake
        self._offering = Offering(own.store)
        self._lock = threading.Lock()
        self._bundles: dict[str, str] = {}
        self._ends: dict[str, JobEnd] = {}
        self._queues: set[str] = set()
        self._heard: tuple[JobEnd, ...] = ()
        self._ended = threading.Condition()
        self._look = threading.Event()
        self._closed = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="farm-fleet", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """A job may have ended. From any thread."""
        self._look.set()

    def close(self) -> None:
        """Take back what no worker has taken."""
        self._closed.set()
        self._look.set()
        self._thread.join()
        self._own.ledger.cancel_jobs(self._run)

    def has(self, task: CascadeTask) -> bool:
        """Whether the wheel is stored."""
        return self._own.has(task)

    def key_of(self, task: CascadeTask) -> str:
        """Not the task's own key, which is the worker's."""
        return hashlib.sha256(f"task\0{task.key}".encode()).hexdigest()

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        """See `farm.cascade.hands.Hands`."""
        key = task.key
        order = Order(
            kind="task",
            step=task.step,
            key=key,
            catalog=self._bundle(cascade),
            rights=self._rights,
            cascade=cascade.id,
            position=task.position,
        ).text()
        new = NewJob(
            run=self._run,
            key=key,
            what=task.id,
            queue=self._queue(cascade, task),
            payload=order,
            signature=self._signer.sign(order),
            signer=self._signer.name,
            urgency=cascade.priority * _PRIORITY_SECONDS,
        )
        self._offer(cascade, task)
        submit(self._own.ledger, [new], cancel)
        with self._lock:
            self._queues.add(new.queue)
        self._wake([(new.queue, key)])
        with self._ended:
            while key not in self._ends and not cancel.is_set and self._fault is None:
                self._ended.wait(_POLL_SECONDS)
            end = self._ends.pop(key, None)
        if end is None:
            return Deed(outcome=Outcome.FAILED, reason="cancelled", error=self._fault)
        return _deed(end)

    def _offer(self, cascade: Cascade, task: CascadeTask) -> None:
        """See that workers find what goes into a task; that something is missing is for the worker to say."""
        try:
            self._offering.offer(self._own.needed(cascade, task))
        except FarmError as error:
            _log.debug("%s: %s", task.id, error)

    def _bundle(self, cascade: Cascade) -> str:
        with self._lock:
            if cascade.catalog not in self._bundles:
                settings = self._own.settings
                root = frozen.whole(settings, cascade.catalog)
                self._bundles[cascade.catalog] = bundle.pack(root, self._own.store, settings)
            return self._bundles[cascade.catalog]

    def _queue(self, cascade: Cascade, task: CascadeTask) -> str:
        if task.verb is Verb.TEST:
            return queues.of_test(self._rights, self._own.catalogs.of(cascade).toolchains[task.platform])
        return queues.of_build(self._rights, task.seconds)

    def _watch(self) -> None:
        """One thread looks for the ends of all."""
        waiting = Waiting(self._own.ledger.queue_depths)
        while not self._closed.is_set():
            self._look.wait(_POLL_SECONDS)
            self._look.clear()
            try:
                self._heard = patiently(lambda: self._own.ledger.ended_jobs(self._run, self._heard))
            except Exception as error:  # noqa: BLE001 - those who wait tell it; else they would wait for ever
                self._fault = error
                return
            with self._lock:
                asked = frozenset(self._queues)
            waiting.look(asked, ended=bool(self._heard))
            if self._heard:
                with self._ended:
                    self._ends.update({end.key: end for end in self._heard})
                    self._ended.notify_all()


def _deed(end: JobEnd) -> Deed:
    said = end.outcome
    seconds = float(said.get("seconds", 0.0))
    reason = str(said.get("reason", "") or said.get("message", ""))
    if end.state is JobState.DONE:
        return Deed(outcome=Outcome(said["outcome"]), reason=reason, seconds=seconds)
    error = restored(str(said.get("kind", "")), reason)
    return Deed(outcome=Outcome.FAILED, reason=reason, seconds=seconds, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDoer:
    """What a worker does with a task: the farm's own hands (see `farm.fleet.doing.Doer`)."""

    hands: FarmHands
    _frozen: dict[str, str] = field(default_factory=dict)  # bundles that were looked into, and which catalog they are

    def __call__(self, order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
        """Raises FleetError if the task is not the one that was signed, or its catalog is not to be had."""
        ledger = self.hands.ledger
        cascade = patiently(lambda: ledger.cascade(order.cascade), cancel)
        task = patiently(lambda: ledger.task_at(order.cascade, order.position), cancel)
        if task is None or task.key != order.key or task.step != order.step:
            raise FleetError(
                "the cascade was planned anew since this was asked for",
                where=f"cascade {order.cascade}",
                fix="nothing: whoever advances it asks again",
            )
        self._require_signed(order, cascade)
        if patiently(lambda: self._is_known(task), cancel):
            return Done(ok=True, said={"outcome": Outcome.PASSED.value})
        deed = replace(self.hands, listener=tell).carry_out(cascade, task, cancel)
        said = {"outcome": deed.outcome.value, "reason": deed.reason, "seconds": round(deed.seconds, 3)}
        if deed.outcome is Outcome.FAILED:
            said |= failure(deed.error, deed.reason) if deed.error is not None else {}
        return Done(ok=deed.outcome is not Outcome.FAILED, said=said, error=deed.error)

    def _require_signed(self, order: Order, cascade: Cascade) -> None:
        """Have the cascade's catalog here, which is the one that was signed, whatever the ledger says. Raises
        FleetError."""
        settings = self.hands.settings
        here = (frozen.folder(settings) / cascade.catalog).is_dir()
        if not here or order.catalog not in self._frozen:
            root = bundle.place(order.catalog, self.hands.store, settings)
            self._frozen[order.catalog] = frozen.freeze(settings, root)
        if self._frozen[order.catalog] != cascade.catalog:
            raise FleetError(
                "the catalog that came with the order is not the cascade's",
                where=f"cascade {cascade.id}",
                fix="let workers and whoever asks them run the same version of the farm",
            )

    def _is_known(self, task: CascadeTask) -> bool:
        """Whether it is done: somebody asked for it, was killed, and another asked again."""
        return self.hands.ledger.has_passed(task.key) if task.verb is Verb.TEST else self.hands.has(task)
