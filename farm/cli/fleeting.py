"""What the verbs of the fleet share: the broker's address, keys, queues, and the parts put together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import running
from farm.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from farm.cascade.doing import FarmHands
    from farm.cascade.fleet import FleetTaskHands
    from farm.fleet.order import Right
    from farm.fleet.show import Teller
    from farm.fleet.signing import Signer, Trusted
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

BROKER = "FARM_BROKER"
FROM_ENVIRONMENT = "env"  # --broker env: the address is in FARM_BROKER, where `ps` does not show it
KEY = "FARM_FLEET_KEY"
TASKS_AT_ONCE = 64  # of a cascade; each waits in a thread


def configure_broker(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Add --broker."""
    default = f"; default: ${BROKER}" if needed else f"; 'env': ${BROKER}"
    parser.add_argument(
        "--broker", metavar="URL", help=f"the fleet's Redis: redis://HOST:6379/0, rediss://...{default}"
    )


def broker_of(args: argparse.Namespace) -> str:
    """The broker's address. Raises UsageError."""
    from farm.fleet import broker

    url = args.broker if args.broker not in (None, FROM_ENVIRONMENT) else os.environ.get(BROKER, "")
    if not url:
        raise UsageError("no broker is named", where="--broker", fix=f"--broker redis://HOST:6379/0, or set {BROKER}")
    return broker.checked(url)


def queues_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The queues that a worker serves. Raises UsageError."""
    from farm.fleet import queues
    from farm.settings import build_machine

    right = right_of(args)
    return queues.checked(args.queue, right) if args.queue else queues.of_machine(right, build_machine())


def right_of(args: argparse.Namespace) -> Right:
    """What an order must be signed with the right to."""
    return "pr" if getattr(args, "pull_requests", False) else "build"


def lease_of(args: argparse.Namespace) -> float:
    """Seconds of silence after which a worker counts as gone."""
    from farm.fleet.slot import FLEET_LEASE_SECONDS

    return args.lease or FLEET_LEASE_SECONDS


def key_path(settings: Settings) -> Path:
    """The private key that signs orders."""
    named = os.environ.get(KEY, "")
    return Path(named) if named else settings.fleet / "key.pem"


def trusted_path(settings: Settings) -> Path:
    """The list of keys whose orders count."""
    return settings.fleet / "trusted"


def signer_of(settings: Settings) -> Signer:
    """The key that signs orders. Raises FleetError, MissingToolError."""
    from farm.fleet import signing

    _make_own_key(settings)
    return signing.signer(key_path(settings))


def trusted_keys(args: argparse.Namespace, settings: Settings) -> Mapping[str, Trusted]:
    """The keys whose orders a worker takes: without any, it does not start. Raises FleetError."""
    from farm.fleet import signing

    if not args.trusted:
        _make_own_key(settings)
    return signing.trusted(Path(args.trusted) if args.trusted else trusted_path(settings))


def _make_own_key(settings: Settings) -> None:
    """With a ledger of its own a farm is one machine and one user's: it trusts itself. Others name whom they trust."""
    from farm.fleet import signing

    if not settings.ledger_url and not os.environ.get(KEY) and not trusted_path(settings).exists():
        signing.trust(trusted_path(settings), signing.make_key(key_path(settings)), signing.RIGHTS, "this-machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screen:
    teller: Teller
    settings: Settings

    def event(self, run: str, event: StepEvent) -> None:
        self.teller.event(run, event)

    def ended(self, run: str) -> None:
        self.teller.ended(run)

    def job_log(self, job: Job) -> contextlib.AbstractContextManager[None]:
        return self.teller.log(job.run, job.what, self.settings.logs / f"{job.key}.log")


@contextlib.contextmanager
def slot(args: argparse.Namespace, settings: Settings) -> Iterator[Slot]:
    """A slot of a worker, with all that it can do."""
    from farm.cascade.doing import Catalogs, FarmHands
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
    from farm.fleet import bundle, queues
    from farm.fleet.broker import Waker
    from farm.fleet.hands import FleetHands, new_run
    from farm.fleet.show import Watcher
    from farm.store import frozen

    url, signer, right = broker_of(args), signer_of(settings), right_of(args)

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
    from farm.fleet.broker import Waker
    from farm.fleet.hands import new_run
    from farm.fleet.show import Watcher

    url, run = broker_of(args), new_run()
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


def refuse_nonsense(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if args.broker and (args.jobs != 1 or args.no_sandbox):
        raise UsageError(
            "how steps are carried out is the workers' business",
            where="--broker",
            fix="give --concurrency and --no-sandbox to `farm worker`",
        )
    if not args.broker and (args.follow or args.pull_requests):
        raise UsageError("that is for a fleet", where="--follow, --pull-requests", fix="add --broker URL")
    if args.pull_requests and not args.no_publish:
        raise UsageError(
            "what a pull request proposes is not published", where="--pull-requests", fix="add --no-publish"
        )
