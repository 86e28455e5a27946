"""Running a plan: what is stored already is found, the rest goes to hands, by default to threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from farm.model.artifact import Artifact
from farm.model.events import Listener, State, StepEvent
from farm.model.plan import Plan
from farm.process import Cancel
from farm.store import pins
from farm.store.artifacts import Store
from farm.store.standing import with_stand_ins
from farm.workers.hands import Hands
from farm.workers.result import RunResult, StepOutcome
from farm.workers.schedule import Schedule
from farm.workers.step import RunStep, patiently

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

MakeHands = Callable[["Ledger", Schedule, Cancel, Listener], Hands]
"""Makes the hands of a run, once it is known that something must be built."""


def run_plan(
    plan: Plan,
    run_step: RunStep,
    *,
    store: Store,
    ledger: Ledger | Callable[[], Ledger],
    jobs: int,
    cancel: Cancel | None = None,
    listener: Listener | None = None,
    logs: Path | None = None,
    lease_seconds: float | None = None,
) -> RunResult:
    """Bring every step of a plan to its end in threads of this process and return what became of each.

    `jobs` steps run at once; `listener` is called from several threads. `logs` defaults to `logs/` beside the store;
    `lease_seconds` is how long another machine waits before it takes over a step of ours that shows no heartbeat.

    Ctrl-C kills the running programs, marks their attempts cancelled, releases the leases and goes on upwards;
    `cancel.set()` from another thread does the same, and run_plan returns. See `run_with` for the rest.
    """

    def threads(ledger: Ledger, _schedule: Schedule, cancel: Cancel, tell: Listener) -> Hands:
        from farm.store.leases import LEASE_SECONDS
        from farm.workers.step import StepRunner
        from farm.workers.threads import ThreadHands

        return ThreadHands(
            store=store,
            ledger=ledger,
            runner=StepRunner(run_step, ledger, logs or store.root.parent / "logs", tell, store=store),
            cancel=cancel,
            tell=tell,
            jobs=jobs,
            lease_seconds=lease_seconds or LEASE_SECONDS,
        )

    return run_with(threads, plan, store=store, ledger=ledger, cancel=cancel, listener=listener)


def run_with(
    make_hands: MakeHands,
    plan: Plan,
    *,
    store: Store,
    ledger: Ledger | Callable[[], Ledger],
    cancel: Cancel | None = None,
    listener: Listener | None = None,
) -> RunResult:
    """Bring every step of a plan to its end with the hands that `make_hands` gives.

    `ledger` may be a function that opens one: it is called only if something must be built, or a farm was killed here.
    A failed step blocks what needs it, nothing else. A bug in a step (an exception that is no FarmError) is raised
    after all other steps have ended.
    """
    tell = listener or _ignore
    found = _by_step(plan, store.get_all(step.key for step in plan.steps))
    if len(found) == len(plan.steps) and not pins.any_run(store):
        return RunResult(outcomes=_tell_cached(found, tell))
    with ExitStack() as stack:
        stack.enter_context(store.pinned(step.key for step in plan.steps))
        found = _trusted(plan, store)
        book = stack.enter_context(ledger()) if callable(ledger) else ledger
        return _run(plan, make_hands, found, store, book, cancel or Cancel(), tell)


def _run(
    plan: Plan,
    make_hands: MakeHands,
    found: Mapping[str, Artifact],
    store: Store,
    ledger: Ledger,
    cancel: Cancel,
    tell: Listener,
) -> RunResult:
    from farm.workers.run import Run

    patiently(lambda: ledger.record_plan(plan.steps), cancel)
    keys = {step.id: step.key for step in plan.steps}
    # what stands in for a build was not built
    built = [artifact for id_, artifact in found.items() if artifact.key == keys[id_]]
    patiently(lambda: ledger.record_artifacts(built), cancel)
    if found:
        patiently(lambda: ledger.tally("cached", number=len(found)), cancel)
    pins.settle(store, with_stand_ins(keys.values()))
    schedule = Schedule(plan, {keys[id_] for id_ in found}, durations=patiently(ledger.durations, cancel))
    run = Run(plan=plan, schedule=schedule, outcomes=_tell_cached(found, tell), cancel=cancel, tell=tell)
    return run.to_the_end(make_hands(ledger, schedule, cancel, tell))


def _trusted(plan: Plan, store: Store) -> dict[str, Artifact]:
    """Stored artifacts by step id. Those that will be unpacked for a build are checked by their hash first; a damaged
    one is built again, so what it needs is checked in turn: hence from the last step to the first."""
    stored = store.get_all(step.key for step in plan.steps)
    found: dict[str, Artifact] = {}
    needed: set[str] = set()
    for step in reversed(plan.steps):
        artifact = stored.get(step.key)
        if artifact is not None and (step.id not in needed or store.verify(artifact)):
            found[step.id] = artifact
        else:
            needed.update(step.requires)
    return found


def _by_step(plan: Plan, stored: Mapping[str, Artifact]) -> dict[str, Artifact]:
    return {step.id: stored[step.key] for step in plan.steps if step.key in stored}


def _ignore(event: StepEvent) -> None:
    """For callers that do not listen."""
    del event


def _tell_cached(found: Mapping[str, Artifact], tell: Listener) -> dict[str, StepOutcome]:
    outcomes = {}
    for id_, artifact in found.items():
        outcomes[id_] = StepOutcome(step=id_, state=State.CACHED, artifact=artifact)
        tell(StepEvent(step=id_, state=State.CACHED))
    return outcomes
