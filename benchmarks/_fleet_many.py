"""Machines of a fleet in one process, for `fleet_scale`: each slot is a thread with a ledger, a lease and a heartbeat
of its own, as a slot's process has them; each machine looks as a worker's parent does. Steps only take time.

Arguments: place, ledger, machines, slots a machine, mean seconds a step. After ``ready``, each line on standard input
asks for what happened since the one before: one JSON object.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks._fleet_worker import Screen
from farm.fleet import queues, trust
from farm.fleet.doing import Done
from farm.fleet.order import Order
from farm.fleet.slot import FLEET_LEASE_SECONDS, Slot
from farm.model.artifact import Artifact
from farm.model.events import Listener
from farm.model.plan import Step
from farm.process import Cancel
from farm.store.ledger import Ledger
from farm.workers.step import Reporter, StepCancel, StepRunner, wait_unless

QUEUES = queues.of_machine("build", "x86_64")
PHASES = ("fetch", "prepare", "configure", "make", "install", "link", "pack", "audit")
LOOK = 0.5  # seconds, as farm.fleet.worker


class Tally:
    """What happened, from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, list[float]] = {}

    def add(self, what: str, value: float) -> None:
        """One of it."""
        with self._lock:
            self._found.setdefault(what, []).append(value)

    def taken(self) -> dict[str, list[float]]:
        """What happened since this was last asked."""
        with self._lock:
            found, self._found = self._found, {}
        return found


class Quiet:
    """Nobody looks on."""

    def ended(self, run: str) -> None:
        """Nobody hears of it."""


class Beating(Ledger):
    """Tells how far apart the heartbeats of a slot were."""

    seen: Tally
    _last = 0.0

    def heartbeat(self, held: object) -> set[str]:
        """As the ledger's, measured."""
        begun = time.monotonic()
        lost = super().heartbeat(held)  # type: ignore[arg-type]
        ended = time.monotonic()
        if begun - self._last < 2 * FLEET_LEASE_SECONDS:  # else it was idle
            self.seen.add("beat", begun - self._last)
        self._last = ended
        self.seen.add("beat_took", ended - begun)
        return lost


class Doer:
    """Writes down what a library's step writes down, and takes its time."""

    def __init__(self, ledger: Ledger, place: Path, mean: float, tally: Tally) -> None:
        self._ledger, self._place, self._mean, self._tally = ledger, place, mean, tally
        self._share = random.random()  # of its first step, which is at work when this begins

    def __call__(self, order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
        step = Step(
            id=order.step, slot=order.step, recipe="x", version="1", platform="p", kind="library", python=None,
            requires=(), key=order.key, inputs=(),
        )  # fmt: skip
        self._ledger.record_plan([step])
        runner = StepRunner(self._built, self._ledger, self._place / "logs", tell)
        outcome, bug = runner.run(step, {}, cancel)
        self._tally.add("step", outcome.seconds)
        return Done(ok=outcome.artifact is not None, said={"state": outcome.state.value}, error=bug or outcome.error)

    def _built(self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report: Reporter) -> Artifact:
        seconds, self._share = self._mean * self._share, random.uniform(0.0, 2.0)
        for phase in PHASES:
            report(phase)
            wait_unless(cancel, seconds / len(PHASES))
        return Artifact(key=step.key, filename="x-1-py3-none-any.whl", sha256=step.key, size=1)


def look(ledger: Ledger, tally: Tally, stop: Cancel) -> None:
    """As a worker's parent does."""
    while not stop.is_set:
        begun = time.monotonic()
        ledger.requeue_lost(QUEUES, FLEET_LEASE_SECONDS)
        ledger.has_queued(QUEUES)
        tally.add("look", time.monotonic() - begun)
        time.sleep(LOOK)


def slot(place: Path, url: str, mean: float, tally: Tally, stop: Cancel) -> None:
    """One slot."""
    with Beating.open(url) as ledger:
        ledger.seen = tally
        Slot(
            ledger=ledger,
            queues=QUEUES,
            doers={"build": Doer(ledger, place, mean, tally)},
            trusted=trust.TrustFile(place / "trusted"),
            right="build",
            screen=Screen(Quiet()),  # type: ignore[arg-type]
        ).serve(stop, threading.Event(), threading.Event())


def main() -> None:
    place, url, machines, slots, mean = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5]), float(sys.argv[5])
    tally, stop = Tally(), Cancel()
    threads = []
    for _ in range(machines):
        threads.append(threading.Thread(target=look, args=(Ledger.open(url), tally, stop), daemon=True))
        threads += [
            threading.Thread(target=slot, args=(place, url, mean, tally, stop), daemon=True) for _ in range(slots)
        ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        spent = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({**tally.taken(), "cpu": spent.ru_utime + spent.ru_stime}), flush=True)
    stop.set()


if __name__ == "__main__":
    main()
