"""Processes of a fleet for tests that kill them; steps are trivial, one line per build in `built.log`.

Arguments: ``worker`` or ``slot``, home, ledger, broker, slots, seconds per step, lease seconds. As a module: `build`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from plans import make_plan

from farm import log
from farm.errors import ProcessError
from farm.fleet import broker, queues, signing, slot_process, trust
from farm.fleet.build import StepDoer
from farm.fleet.hands import FleetHands, new_run
from farm.fleet.show import Teller, Watcher
from farm.fleet.slot import Slot
from farm.fleet.worker import Worker
from farm.model.artifact import Artifact
from farm.model.events import Listener, StepEvent
from farm.model.job import Job
from farm.model.plan import Plan, Step
from farm.process import Cancel, Child, run
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.workers.hands import Hands
from farm.workers.local import run_with
from farm.workers.result import RunResult
from farm.workers.schedule import Schedule
from farm.workers.step import Reporter

QUEUES = (queues.BUILD,)
CATALOG = "0" * 64
EDGES: dict[str, tuple[str, ...]] = {
    "gmp": (),
    "zlib": (),
    "mpfr": ("gmp",),
    "png": ("zlib",),
    "mpc": ("gmp", "mpfr"),
    "flint": ("gmp", "mpfr"),
    "tiff": ("zlib",),
}
PLAN = make_plan(EDGES)


def key_of(home: Path) -> signing.Signer:
    made = signing.make_key(home / "fleet/key.pem")
    trust.trust(home / "fleet/trusted", trust.line_of(made, ("build",), "test"))
    return made


def say(home: Path, text: str) -> None:
    handle = os.open(home / "built.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


class Builder:
    """A `run_step` whose wheel is its key."""

    def __init__(self, home: Path, store: Store, seconds: float) -> None:
        self.home, self.store, self.seconds = home, store, seconds

    def __call__(self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report: Reporter) -> Artifact:
        report("make")
        assert set(deps) == set(step.requires)
        say(self.home, f"begin {step.recipe} {os.getpid()}")
        log = self.home / "logs" / f"{step.key}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as stream:
            try:
                run(["sh", "-c", f"echo compiling {step.recipe}; sleep {self.seconds}"], cancel=cancel, log=stream)
            except ProcessError:
                say(self.home, f"gave-up {step.recipe} {os.getpid()}")
                raise
        place = self.home / f"out-{os.getpid()}"
        place.mkdir(exist_ok=True)
        wheel = place / f"{step.recipe}-1.0-py3-none-any.whl"
        wheel.write_bytes(step.key.encode() * 200)
        say(self.home, f"end {step.recipe} {os.getpid()}")
        return self.store.put(step.key, wheel)


class Screen:
    def __init__(self, teller: Teller, home: Path) -> None:
        self.teller, self.home = teller, home
        self.event, self.ended = teller.event, teller.ended

    def job_log(self, job: Job):  # type: ignore[no-untyped-def]
        return self.teller.log(job.run, job.what, self.home / "logs" / f"{job.key}.log")


def build(
    home: Path,
    ledger: Ledger,
    url: str,
    plan: Plan = PLAN,
    *,
    cancel: Cancel | None = None,
    listener: Listener = lambda _event: None,
    on_log: Callable[[str, str], None] = lambda _step, _lines: None,
    signer: signing.Signer | None = None,
) -> RunResult:
    """What `farm build --broker` does, without a catalog."""
    store, waker, watchers = Store(home / "store"), broker.Waker(url), []

    def hands(ledger: Ledger, schedule: Schedule, cancel: Cancel, tell: Callable[[StepEvent], None]) -> Hands:
        made = FleetHands(
            run=new_run(),
            ledger=ledger,
            store=store,
            signer=signer or key_of(home),
            catalog=CATALOG,
            rights="build",
            queue_of=lambda step: queues.BUILD,
            urgency_of=lambda step: schedule.urgency(step.id),
            wake=waker.wake,
            cancel=cancel,
            logs=home / "logs",
        )
        watchers.append(Watcher(url, made.run, tell, on_log, made.look))
        return made

    try:
        return run_with(hands, plan, store=store, ledger=ledger, cancel=cancel, listener=listener)
    finally:
        for watcher in watchers:
            watcher.close()
        waker.close()


def worker(home: Path, url: str, address: str, count: int, lease: float) -> None:
    with Ledger.open(url) as ledger:
        command = [sys.executable, __file__, "slot", *sys.argv[2:]]
        made = Worker(ledger, QUEUES, lambda: Child(command), count, lease)
        broker.listen(address, QUEUES, lambda _queue, _key: made.wake())
        print("ready", flush=True)
        made.serve()


@contextmanager
def slot(home: Path, url: str, address: str, seconds: float, lease: float) -> Iterator[Slot]:
    store, steps = Store(home / "store"), PLAN.by_id()
    with Ledger.open(url) as ledger:
        builder = Builder(home, store, seconds)
        doer = StepDoer(
            store=store,
            ledger=ledger,
            logs=home / "logs",
            plan_of=lambda order: (PLAN, steps.get(order.step), builder),
        )
        yield Slot(
            ledger=ledger,
            queues=QUEUES,
            doers={"build": doer},
            trusted=trust.TrustFile(home / "fleet/trusted"),
            right="build",
            screen=Screen(Teller(address), home),
            lease_seconds=lease,
        )


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    log.configure(verbose=False)
    role, home, url, address, count, seconds, lease = sys.argv[1:8]
    if role == "worker":
        worker(Path(home), url, address, int(count), float(lease))
    else:
        signal.signal(signal.SIGTERM, interrupt)
        slot_process.serve(lambda: slot(Path(home), url, address, float(seconds), float(lease)))


if __name__ == "__main__":
    main()
