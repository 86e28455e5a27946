"""The parts of a fleet put together for the verbs: a slot of a worker; the fleet as hands of a run or a cascade."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cli import running
from farm.cli.fleet_keys import signer_of, trusted_keys
from farm.cli.fleet_options import broker_of, lease_of, queues_of, right_of

if TYPE_CHECKING:
    import argparse

    from farm.cascade.doing import FarmHands
    from farm.cascade.fleet import FleetTaskHands
    from farm.fleet.show import Teller
    from farm.fleet.slot import Slot
    from farm.model.events import Listener, StepEvent
    from farm.model.job import Job
    from farm.model.plan import Plan
    from farm.process import Cancel
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger
    from farm.workers.hands import Hands
    from farm.workers.local import MakeHands
    from farm.workers.result import RunResult
    from farm.workers.schedule import Schedule

TASKS_AT_ONCE = 64  # of a cascade; each waits in a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screen:
    teller: Teller
    settings: Settings

    def event(self, run: str, event: StepEvent) -> None:
        self.teller.event(run, event)

    def ended(self, run: str) -> None:
        self.teller.ended(run)

    def job_log(self, job: Job) -> contextlib.AbstractContextManager[None]:
        from farm.store.home import log_of

        return self.teller.log(job.run, job.what, log_of(self.settings.logs, job.key))


@contextlib.contextmanager
def slot(args: argparse.Namespace, settings: Settings) -> Iterator[Slot]:
    """A slot of a worker, with all that it can do."""
    from farm.cascade.catalogs import Catalogs
    from farm.cascade.doing import FarmHands
    from farm.cascade.fleet import TaskDoer
    from farm.fleet.build import Planned, StepDoer
    from farm.fleet.show import Teller
    from farm.fleet.slot import Slot
    from farm.store.artifacts import open_store
    from farm.store.ledger import Ledger

    teller = Teller(broker_of(args))
    with Ledger.open(settings.ledger) as ledger:
        store = open_store(settings)
        findings = running.recorder(lambda: ledger)
        own = FarmHands(
            settings=settings, store=store, ledger=ledger, catalogs=Catalogs(settings=settings), findings=findings
        )
        plan_of = Planned(settings=settings, store=store, findings=findings)
        build = StepDoer(store=store, ledger=ledger, logs=settings.logs, plan_of=plan_of)
        try:
            yield Slot(
                ledger=ledger,
                queues=queues_of(args),
                doers={"build": build, "task": TaskDoer(hands=own)},
                trusted=trusted_keys(args, settings),
                right=right_of(args),
                screen=_Screen(teller=teller, settings=settings),
                lease_seconds=lease_of(args),
            )
        finally:
            teller.close()


def hands(args: argparse.Namespace, settings: Settings, store: Store, ended: contextlib.ExitStack) -> MakeHands:
    """The fleet as the hands of a run; what it opens is closed with `ended`. Raises what makes that impossible."""
    from farm.fleet import bundle, greeting, queues
    from farm.fleet.broker import Waker
    from farm.fleet.hands import FleetHands, new_run
    from farm.fleet.show import Watcher
    from farm.store import frozen

    url, signer, right = broker_of(args), signer_of(settings), right_of(args)
    greeting.greet(url)

    def make(ledger: Ledger, schedule: Schedule, cancel: Cancel, tell: Listener) -> Hands:
        root = frozen.place(settings, frozen.freeze(settings, settings.catalog))
        costs = ledger.durations(cpu=True)
        waker = Waker(url)
        ended.callback(waker.close)
        digest = bundle.pack(root, store, settings)
        ended.enter_context(store.pinned([digest]))
        made = FleetHands(
            run=new_run(),
            ledger=ledger,
            store=store,
            signer=signer,
            catalog=digest,
            rights=right,
            queue_of=lambda step: queues.of_build(right, costs.get(step.slot)),
            urgency_of=lambda step: schedule.urgency(step.id),
            wake=waker.wake,
            cancel=cancel,
            logs=settings.logs,
        )
        watcher = Watcher(url, made.run, tell, _printer(args), made.look)
        ended.callback(watcher.close)
        return made

    return make


@contextlib.contextmanager
def task_hands(args: argparse.Namespace, own: FarmHands) -> Iterator[FleetTaskHands]:
    """The fleet as the hands of a cascade."""
    from farm.cascade.fleet import FleetTaskHands
    from farm.fleet import greeting
    from farm.fleet.broker import Waker
    from farm.fleet.hands import new_run
    from farm.fleet.show import Watcher

    url, run = broker_of(args), new_run()
    greeting.greet(url)
    waker = Waker(url)
    made = FleetTaskHands(run=run, own=own, signer=signer_of(own.settings), rights="build", wake=waker.wake)
    watcher = Watcher(url, run, own.listener, lambda _step, _lines: None, made.look)
    try:
        yield made
    finally:
        made.close()
        watcher.close()
        waker.close()


def _printer(args: argparse.Namespace) -> Callable[[str, str], None]:
    follow = args.follow and not args.json

    def show(step: str, lines: str) -> None:
        if follow:
            print("\n".join(f"  {step} | {line}" for line in lines.splitlines()), flush=True)

    return show


def carry_out(args: argparse.Namespace, plan: Plan, store: Store, settings: Settings) -> RunResult:
    """Run a plan on the fleet with progress on stdout (unless --json)."""
    import functools

    from farm.cli.progress import progress
    from farm.store.ledger import Ledger
    from farm.workers.local import run_with

    open_ledger = functools.cache(lambda: Ledger.open(settings.ledger))
    with contextlib.ExitStack() as ended, progress(len(plan.steps), quiet=args.json) as listener:
        make = hands(args, settings, store, ended)
        return run_with(make, plan, store=store, ledger=open_ledger, listener=listener)
