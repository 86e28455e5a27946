"""The schedule: order, blocking, and that every run of it ends, whatever is reported and when."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import PLATFORM, make_plan, make_step

from farm.model.events import State
from farm.model.plan import Plan, Step
from farm.workers.schedule import Schedule
from farm.workers.simulate import simulate

FINAL = {State.CACHED, State.BUILT, State.FAILED, State.BLOCKED, State.CANCELLED}


def names(steps: Sequence[Step]) -> list[str]:
    return [step.recipe for step in steps]


def id_of(plan: Plan, name: str) -> str:
    return next(step.id for step in plan.steps if step.recipe == name)


def test_the_longest_chain_goes_first() -> None:
    plan = make_plan({"zlib": (), "png": ("zlib",), "gmp": (), "mpfr": ("gmp",), "mpc": ("mpfr",), "lz4": ()})
    assert names(Schedule(plan).ready()) == ["gmp", "zlib", "lz4"]
    slow = {step.slot: 500.0 if step.recipe == "lz4" else 10.0 for step in plan.steps}
    assert names(Schedule(plan, durations=slow).ready()) == ["lz4", "gmp", "zlib"]


def test_a_recipe_without_history_here_is_expected_to_take_what_it_takes_elsewhere() -> None:
    plan = make_plan({"zlib": (), "flint": (), "lz4": ()})
    elsewhere = {"flint/win_amd64": 900.0, "zlib/win_amd64": 9.0, f"lz4/{PLATFORM}": 20.0}
    assert names(Schedule(plan, durations=elsewhere).ready()) == ["flint", "lz4", "zlib"]


@pytest.mark.parametrize("workers", [2, 16, 64, 256])
def test_no_schedule_could_be_a_tenth_faster(workers: int) -> None:
    """Durations as they are recorded: most take minutes, some hours. 1,000 steps in chains of up to 15."""
    chance = random.Random(1)
    edges: dict[str, list[str]] = {}
    for number in range(1000):
        below = [f"s{chance.randrange(number - number % 70)}" for _ in range(3)] if number >= 70 else []
        edges[f"s{number}"] = list(dict.fromkeys(below))
    plan = make_plan(edges)
    seconds = {step.id: 100 * math.exp(chance.gauss(0, 1.5)) for step in plan.steps}
    earlier = {step.slot: seconds[step.id] * math.exp(chance.gauss(0, 0.2)) for step in plan.steps}
    run = simulate(plan, seconds, workers=workers, durations=earlier)
    assert run.seconds >= run.bound
    assert run.ratio <= 1.1


def test_simulated_time_adds_up() -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",), "zlib": (), "lz4": ()})
    seconds = {id_of(plan, name): float(value) for name, value in {"gmp": 3, "mpfr": 4, "zlib": 5, "lz4": 1}.items()}
    alone, two, many = (simulate(plan, seconds, workers=workers) for workers in (1, 2, 99))
    assert (alone.seconds, two.seconds, many.seconds) == (13, 7, 7)
    assert (many.critical, many.work, many.bound, many.ratio) == (7, 13, 7, 1)
    assert simulate(Plan(steps=()), {}, workers=2).ratio == 1
    with pytest.raises(ValueError, match="0 workers"):
        simulate(plan, seconds, workers=0)


def test_done_steps_are_not_run_and_free_their_dependents() -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",)})
    schedule = Schedule(plan, {plan.steps[0].key})
    assert schedule.state(id_of(plan, "gmp")) is State.CACHED
    assert names(schedule.ready()) == ["mpfr"]


def test_a_failure_blocks_all_behind_it_and_names_the_culprit() -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",), "mpc": ("mpfr",), "zlib": ()})
    schedule = Schedule(plan)
    assert schedule.start(id_of(plan, "gmp"))
    assert set(schedule.fail(id_of(plan, "gmp"))) == {id_of(plan, "mpfr"), id_of(plan, "mpc")}
    assert schedule.culprit(id_of(plan, "mpc")) == id_of(plan, "gmp")
    assert names(schedule.ready()) == ["zlib"]
    assert not schedule.is_over


@pytest.mark.parametrize("broken", ["missing", "cycle", "self"])
def test_plans_that_cannot_be_run_end_all_the_same(broken: str) -> None:
    good = make_step("zlib")
    requires = {"missing": ("nowhere@1/x",), "cycle": (), "self": ()}[broken]
    bad = make_step("bad")
    behind = make_step("behind", [bad])
    cycle = {"missing": requires, "cycle": (behind.id,), "self": (bad.id,)}[broken]
    from dataclasses import replace

    plan = Plan(steps=(good, replace(bad, requires=cycle), behind))
    schedule = Schedule(plan)
    assert names(schedule.ready()) == ["zlib"]
    assert schedule.state(behind.id) is State.BLOCKED
    assert schedule.culprit(bad.id)
    schedule.finish(good.id)
    assert schedule.is_over


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 14))
    edges = {}
    for number in range(count):
        earlier = [f"s{n}" for n in range(number)]
        edges[f"s{number}"] = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
    return make_plan(edges)


@settings(max_examples=150, deadline=None)
@given(plan=plans(), data=st.data())
def test_every_step_runs_at_most_once_after_all_it_requires_and_all_end(plan: Plan, data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 10**6)))
    done = {step.key for step in plan.steps if chance.random() < 0.2}
    fails = {step.id for step in plan.steps if chance.random() < 0.25}
    schedule = Schedule(plan, done)
    steps = plan.by_id()
    running: list[str] = []
    ran: list[str] = []
    while not schedule.is_over:
        while len(running) < 3 and (step := schedule.take()):
            for required in step.requires:
                assert schedule.state(required) in (State.BUILT, State.CACHED)
            running.append(step.id)
            ran.append(step.id)
        assert running, "nothing runs, nothing is ready, and it is not over"
        ended = running.pop(chance.randrange(len(running)))
        if ended in fails:
            schedule.fail(ended)
        else:
            schedule.finish(ended)
    assert len(ran) == len(set(ran))
    assert not running
    for id_, step in steps.items():
        assert schedule.state(id_) in FINAL
        blocked = any(schedule.state(r) in (State.FAILED, State.BLOCKED) for r in step.requires)
        if step.key not in done:
            assert (schedule.state(id_) is State.BLOCKED) == blocked
            if blocked:
                assert schedule.state(schedule.culprit(id_)) is State.FAILED


@settings(max_examples=150, deadline=None)
@given(plan=plans(), data=st.data())
def test_reports_in_any_order_never_raise_and_final_words_stay(plan: Plan, data: st.DataObject) -> None:
    ids = [*(step.id for step in plan.steps), "unknown@1/x"]
    schedule = Schedule(plan)
    calls = data.draw(st.lists(st.tuples(st.sampled_from(["start", "finish", "fail", "take"]), st.sampled_from(ids))))
    for name, id_ in calls:
        before = {i: schedule.state(i) for i in ids[:-1]}
        if name == "take":
            schedule.take()
        else:
            getattr(schedule, name)(id_)
        schedule.ready()
        for i, state in before.items():
            assert state not in FINAL or schedule.state(i) is state
    for step in plan.steps:
        schedule.finish(step.id)
    assert schedule.is_over


def test_a_large_plan_is_scheduled_in_seconds() -> None:
    """30,000 steps: the schedule itself must never be what a farm waits for."""
    edges = {f"s{n}": [f"s{n - d}" for d in (1, 7) if n % 50 >= d] for n in range(30_000)}
    plan = make_plan(edges)
    started = time.process_time()
    schedule = Schedule(plan)
    count = 0
    while step := schedule.take():
        schedule.finish(step.id)
        count += 1
    assert count == 30_000
    assert schedule.is_over
    assert time.process_time() - started < 5
