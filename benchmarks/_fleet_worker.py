"""Workers for `fleet_throughput`: the farm's, whose steps do nothing, and Celery's, whose tasks do nothing.

Arguments: ``farm`` or ``slot``, place, ledger, broker, slots; or ``celery``, broker, processes.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from farm.fleet import broker, slot_process, trust
from farm.fleet.doing import Done
from farm.fleet.order import Order
from farm.fleet.show import Teller
from farm.fleet.slot import Slot
from farm.fleet.worker import Worker
from farm.model.events import Listener, StepEvent
from farm.model.job import Job
from farm.process import Child
from farm.store.ledger import Ledger
from farm.workers.step import StepCancel

QUEUES = ("build",)
LEASE = 3.0


class Screen:
    """Says what ended, as a worker does; there are no logs."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def event(self, run: str, event: StepEvent) -> None:
        """Nothing happens on the way."""

    def ended(self, run: str) -> None:
        """It is over."""
        self._teller.ended(run)

    def job_log(self, job: Job) -> contextlib.AbstractContextManager[None]:
        """Nothing is written."""
        return contextlib.nullcontext()


def trivial(order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
    """A step that is done at once."""
    return Done(ok=True, said={"state": "built", "step": order.step})


@contextlib.contextmanager
def slot(place: Path, url: str, address: str) -> Iterator[Slot]:
    with Ledger.open(url) as ledger:
        yield Slot(
            ledger=ledger,
            queues=QUEUES,
            doers={"build": trivial},
            trusted=trust.TrustFile(place / "trusted"),
            right="build",
            screen=Screen(Teller(address)),
            lease_seconds=LEASE,
        )


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        if sys.argv[1] == "celery":
            celery(sys.argv[2], int(sys.argv[3]))
        elif sys.argv[1] == "slot":
            slot_process.serve(lambda: slot(Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
        else:
            farm(sys.argv[3], sys.argv[4], int(sys.argv[5]))


def farm(url: str, address: str, count: int) -> None:
    command = [sys.executable, "-m", "benchmarks._fleet_worker", "slot", *sys.argv[2:]]
    with Ledger.open(url) as ledger:
        worker = Worker(ledger, QUEUES, lambda: Child(command), count, LEASE)
        broker.listen(address, QUEUES, lambda _queue, _key: worker.wake())
        print("ready", flush=True)
        worker.serve()


def celery(address: str, count: int) -> None:
    from benchmarks._fleet_celery import app_of

    print("ready", flush=True)
    app_of(address).worker_main(["worker", f"--concurrency={count}", "--loglevel=ERROR", "--pool=prefork"])


if __name__ == "__main__":
    main()
