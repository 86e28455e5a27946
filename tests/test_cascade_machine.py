"""The state machine of cascades: what is done, in which order, what failures and kills leave behind."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cascades import FakeHands, Killed, chain, draft, fresh, fresh_as
from databases import postgresql, why_no_postgresql
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import PLATFORM
from sqlalchemy import select, update

from farm.cascade import faults
from farm.cascade.advance import Advance, Advanced, TaskEvent
from farm.errors import StoreError, UsageError
from farm.model.cascade import CascadeState, CascadeTask, Draft, TaskState
from farm.model.rework import Verb
from farm.store.ledger import Ledger
from farm.store.tables import is_past, leases, now_ms

pause = faults.pause
B, R, T = Verb.BUILD, Verb.REBIND, Verb.TEST


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with fresh() as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "pause", lambda attempts: 0.0)


def advance(ledger: Ledger, id_: int, hands: FakeHands, **more: Any) -> Advanced:
    return Advance(ledger.cascade(id_), ledger=ledger, hands=hands, **more).to_the_end()


def states(ledger: Ledger, id_: int) -> dict[str, TaskState]:
    return {f"{task.verb} {task.recipe}": task.state for task in ledger.tasks_of(id_)}


def test_tasks_come_after_what_they_require(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(chain("gmp", "mpfr"))
    assert cascade.state is CascadeState.PLANNED
    hands = FakeHands()
    ended = advance(ledger, cascade.id, hands)
    assert [id_.partition("@")[0] for id_ in hands.order] == ["build gmp", "build mpfr", "test gmp", "test mpfr"]
    assert (ended.cascade.state, ended.done) == (CascadeState.TESTING, 4)
    progress = ledger.progress(cascade.id)
    assert (progress.having(TaskState.DONE), progress.total, progress.seconds) == (4, 4, 8.0)


def test_a_result_that_is_there_is_not_made_again(ledger: Ledger) -> None:
    first, hands = ledger.create_cascade(chain("gmp")), FakeHands()
    advance(ledger, first.id, hands)
    second = ledger.create_cascade(chain("gmp", "mpfr"))
    told: list[TaskEvent] = []
    advance(ledger, second.id, hands, tell=told.append)
    assert all(count == 1 for count in hands.passed.values())
    assert sorted(e.task.id.partition("@")[0] for e in told if e.what == "reused") == ["build gmp", "test gmp"]
    assert ledger.progress(second.id).reused == {B: 1, T: 1}


def test_a_failure_blocks_only_what_needs_it(ledger: Ledger) -> None:
    graph = {
        ("gmp", B): [],
        ("zlib", B): [],
        ("mpfr", B): [("gmp", B)],
        ("mpc", B): [("mpfr", B)],
        ("png", B): [("zlib", B)],
    }
    cascade = ledger.create_cascade(draft(graph))
    hands = FakeHands({f"build gmp@1.0/{PLATFORM}": ["fail"]})
    ended = advance(ledger, cascade.id, hands)
    assert ended.cascade.state is CascadeState.BLOCKED
    assert ended.cascade.note == f"1 failed: build gmp@1.0/{PLATFORM}"
    assert states(ledger, cascade.id) == {
        "build gmp": "failed", "build mpfr": "blocked", "build mpc": "blocked",
        "build zlib": "done", "build png": "done",
    }  # fmt: skip
    assert {t.culprit for t in ledger.tasks_of(cascade.id, TaskState.BLOCKED)} == {f"build gmp@1.0/{PLATFORM}"}
    hands.script.clear()  # mended: only what failed and what it blocked is done
    assert ledger.retry_failed(cascade.id) == 1
    hands.order.clear()
    assert advance(ledger, cascade.id, hands).cascade.state is CascadeState.TESTING
    assert [id_.partition("@")[0] for id_ in hands.order] == ["build gmp", "build mpfr", "build mpc"]


def test_only_passing_faults_are_tried_again(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(draft({("gmp", B): [], ("zlib", B): [], ("png", B): []}))
    name = "build {}@1.0/" + PLATFORM
    hands = FakeHands(
        {name.format("gmp"): ["fault"] * 3, name.format("zlib"): ["fail"], name.format("png"): ["fault"] * 99}
    )
    advance(ledger, cascade.id, hands)
    tried = {task.recipe: (task.state, task.attempts) for task in ledger.tasks_of(cascade.id)}
    assert tried == {"gmp": ("done", 3), "zlib": ("failed", 1), "png": ("failed", faults.MAX_ATTEMPTS)}


def test_a_fault_is_tried_again_later_and_others_go_first(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "pause", lambda attempts: 600.0)
    cascade = ledger.create_cascade(draft({("gmp", B): [], ("zlib", B): []}))
    ended = advance(ledger, cascade.id, FakeHands({f"build gmp@1.0/{PLATFORM}": ["fault"]}))
    assert ended.next_try is not None
    assert 590 < ended.next_try <= 600
    assert ended.cascade.state is CascadeState.BUILDING
    assert states(ledger, cascade.id) == {"build gmp": "ready", "build zlib": "done"}


def test_a_moment_has_come_in_the_millisecond_that_it_names(ledger: Ledger) -> None:
    """Else a task without a pause is neither ready nor waiting, and a call ends as if nothing were left."""
    with ledger.reading() as connection:
        assert connection.execute(select(is_past(now_ms()))).scalar() == 1
        assert connection.execute(select(is_past(now_ms() + 1))).scalar() == 0


def test_what_came_due_after_the_last_look_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "pause", lambda attempts: 0.05)
    cascade = ledger.create_cascade(draft({("gmp", B): []}))
    asked = ledger.next_try

    def late(cascade: int) -> float | None:
        time.sleep(0.1)  # the task comes due between the two questions
        return asked(cascade)

    monkeypatch.setattr(ledger, "next_try", late)
    ended = advance(ledger, cascade.id, FakeHands({f"build gmp@1.0/{PLATFORM}": ["fault"]}))
    assert ended.next_try == 0.0
    assert advance(ledger, cascade.id, FakeHands()).next_try is None


def test_pauses_grow_and_spread() -> None:
    rng = random.Random(1)
    pauses = [pause(n, rng=rng) for n in range(1, 12)]
    assert 22 <= pauses[0] <= 38
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses[:6]))
    assert max(pauses) <= 3600 * 1.25
    assert len({pause(3) for _ in range(20)}) > 10


def test_what_may_pass() -> None:
    from farm.errors import BuildError, BusyError, GateError, SourceError, UnavailableError, UnreachableError

    passing = (UnreachableError("x"), UnavailableError("x"), BusyError("x"), StoreError("full"), OSError(28, "full"))
    assert all(map(faults.may_pass, passing))
    assert not any(
        map(faults.may_pass, (BuildError("x"), GateError("x"), SourceError("wrong hash"), None, ValueError()))
    )


def test_what_cannot_run_here_is_done_with_its_reason(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(chain("gmp"))
    hands = FakeHands({f"test gmp@1.0/{PLATFORM}": ["not run"]})
    ended = advance(ledger, cascade.id, hands)
    assert ended.cascade.state is CascadeState.TESTING
    assert [task.note for task in ledger.tasks_of(cascade.id) if task.verb is T] == ["no runner"]
    assert ledger.progress(cascade.id).not_run == 1
    again = ledger.create_cascade(chain("gmp"))  # another day there may be a runner
    advance(ledger, again.id, hands)
    assert [task.note for task in ledger.tasks_of(again.id) if task.verb is T] == [""]


def test_a_bug_is_raised_after_the_others_have_ended(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(draft({("gmp", B): []}))
    with pytest.raises(ZeroDivisionError):
        advance(ledger, cascade.id, FakeHands({f"build gmp@1.0/{PLATFORM}": ["bug"]}))
    (task,) = ledger.tasks_of(cascade.id)
    assert (task.state, task.error) == (TaskState.FAILED, "internal error: ZeroDivisionError()")


def test_two_calls_at_once_share_the_work(ledger: Ledger) -> None:
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {(f"s{n}", B): [] for n in range(12)}
    cascade = ledger.create_cascade(draft(graph))
    hands = FakeHands()
    meet = threading.Barrier(2, timeout=30)

    def both_are_at_work(task: CascadeTask) -> None:
        if task.recipe in ("s0", "s1"):
            meet.wait()

    hands.during = both_are_at_work
    calls = [threading.Thread(target=advance, args=(ledger, cascade.id, hands)) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(hands.order) == 12
    assert set(hands.passed.values()) == {1}
    assert ledger.progress(cascade.id).having(TaskState.DONE) == 12


def test_a_task_at_work_elsewhere_is_left_alone(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(draft({("gmp", B): [], ("zlib", B): []}))
    gmp = ledger.tasks_of(cascade.id)[0]
    lease = ledger.lease(gmp.key)
    assert lease is not None
    hands = FakeHands()
    ended = advance(ledger, cascade.id, hands)
    assert (ended.elsewhere, [id_.partition("@")[0] for id_ in hands.order]) == (1, ["build zlib"])


def test_who_lost_the_lease_writes_nothing(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(draft({("gmp", B): []}))
    (gmp,) = ledger.tasks_of(cascade.id)
    stale = ledger.lease(gmp.key)
    assert stale is not None
    ledger.release(stale)
    current = ledger.lease(gmp.key)
    assert current is not None
    assert not ledger.finish_task(stale, gmp, note="", took=1.0, reused=False)
    assert not ledger.fail_task(stale, gmp, error="late", took=1.0)
    assert not ledger.delay_task(stale, gmp, error="late", seconds=1.0)
    assert ledger.tasks_of(cascade.id) == (gmp,)
    assert ledger.finish_task(current, gmp, note="", took=1.0, reused=False)
    assert not ledger.fail_task(current, gmp, error="second thoughts", took=1.0), "the first word counts"


def test_a_fence_leaves_a_recipe_out(ledger: Ledger) -> None:
    graph = {("gmp", B): [], ("gmpy2", R): [("gmp", B)], ("gmpy2", T): [("gmpy2", R)], ("flint", B): [("gmp", B)]}
    cascade = ledger.create_cascade(draft(graph))
    hands = FakeHands({f"test gmpy2@1.0/{PLATFORM}": ["fail"]})
    assert advance(ledger, cascade.id, hands).cascade.state is CascadeState.BLOCKED
    until = datetime.now(UTC) + timedelta(days=30)
    ledger.fence(cascade.id, ["gmpy2"], until, "upstream is dead")
    ended = advance(ledger, cascade.id, hands)
    assert ended.cascade.state is CascadeState.TESTING
    assert [task.recipe for task in ledger.wheels_of(cascade.id)] == ["gmp", "flint"]
    (fence,) = ledger.fences(cascade.id)
    assert (fence.recipe, fence.until, fence.reason) == ("gmpy2", until, "upstream is dead")
    hands.script.clear()
    ledger.lift_fences(cascade.id, ["gmpy2"])
    advance(ledger, cascade.id, hands)
    assert [task.recipe for task in ledger.wheels_of(cascade.id)] == ["gmp", "gmpy2", "flint"]


def test_a_fence_never_holds_others_back_in_silence(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(chain("gmp", "mpfr"))
    until = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(UsageError, match="mpfr cannot go on without gmp"):
        ledger.fence(cascade.id, ["gmp"], until, "x")
    assert ledger.fences(cascade.id) == ()
    with pytest.raises(UsageError, match="does nothing with zlib"):
        ledger.fence(cascade.id, ["zlib"], until, "x")
    ledger.fence(cascade.id, ["gmp", "mpfr"], until, "x")
    assert set(states(ledger, cascade.id).values()) == {TaskState.FENCED}


class DyingLedger(Ledger):
    """Is killed at its n-th write, before it happens or after."""

    def dies(self, kills: Sequence[tuple[int, bool]]) -> None:
        self.kills, self.writes = dict(kills), 0

    def _call(self, name: str, *args: Any, **more: Any) -> Any:
        self.writes += 1
        after = self.kills.get(self.writes)
        if after is False:
            raise Killed
        result = getattr(super(), name)(*args, **more)
        if after:
            raise Killed
        return result

    def lease(self, *args: Any, **more: Any) -> Any:
        return self._call("lease", *args, **more)

    def finish_task(self, *args: Any, **more: Any) -> bool:
        return bool(self._call("finish_task", *args, **more))

    def fail_task(self, *args: Any, **more: Any) -> bool:
        return bool(self._call("fail_task", *args, **more))

    def delay_task(self, *args: Any, **more: Any) -> bool:
        return bool(self._call("delay_task", *args, **more))

    def move_cascade(self, *args: Any, **more: Any) -> bool:
        return bool(self._call("move_cascade", *args, **more))


WORDS = st.lists(st.sampled_from(["fault", "fail", "kill", "late", "not run"]), max_size=2)
KILLS = st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=4)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Draft, dict[str, list[str]]]:
    """A random graph of builds, rebinds and tests, and what happens at each try."""
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {}
    for number in range(draw(st.integers(1, 6))):
        earlier = list(graph)
        needed = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
        verb = draw(st.sampled_from([B, B, R, T]))
        graph[f"s{number}", verb] = needed
    made = draft(graph)
    return made, {one.task.id: draw(WORDS) for one in made.tasks}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(graphs(), KILLS, st.integers(1, 3))
def test_whatever_is_killed_each_task_passes_once_and_the_cascade_ends(
    given: tuple[Draft, dict[str, list[str]]], kills: list[tuple[int, bool]], jobs: int
) -> None:
    made, script = given
    hands, deaths = FakeHands(script), 0
    required = {one.task.id: one.task.requires for one in made.tasks}
    keys = {one.task.id: one.task.key for one in made.tasks}
    with fresh_as(DyingLedger) as ledger:
        ledger.dies(())
        id_ = ledger.create_cascade(made).id
        ledger.dies(kills)

        def during(task: CascadeTask) -> None:
            done = {t.id for t in ledger.tasks_of(id_, TaskState.DONE)}
            assert set(required[task.id]) <= done, "what it requires was not done"

        hands.during = during
        for _ in range(60):
            try:
                ended = Advance(ledger.cascade(id_), ledger=ledger, hands=hands, jobs=jobs).to_the_end()
            except Killed:
                deaths += 1
                with ledger.writing() as connection:  # its process is dead, so its leases are free
                    connection.execute(update(leases).values(owner="", expires=0))
                continue
            if ended.next_try is None:  # else the clock was set back: a user is told to advance again
                break
        else:
            raise AssertionError("it never ends")
        found = {task.id: task.state for task in ledger.tasks_of(id_)}
        failed = {name for name, state in found.items() if state is TaskState.FAILED}
        behind = set()
        for name, needs in required.items():  # in an order in which each comes after all it requires
            if any(need in failed or need in behind for need in needs):
                behind.add(name)
        assert failed <= {name for name, words in script.items() if "fail" in words}
        assert failed >= {name for name, words in script.items() if words[:1] == ["fail"]} - behind
        assert {name for name, state in found.items() if state is TaskState.BLOCKED} == behind
        assert all(found[name] is TaskState.DONE for name in found.keys() - failed - behind)
        assert ended.cascade.state is (CascadeState.BLOCKED if failed else CascadeState.TESTING)
        for name, key in keys.items():
            again = deaths if name.startswith("test") else 0  # of a test that was killed nothing is left to see
            assert hands.passed[key] <= 1 + again
        assert ledger.leased_keys() == set()


def test_the_same_on_postgresql() -> None:
    if reason := why_no_postgresql():
        pytest.skip(f"PostgreSQL was not tested: {reason}")
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {("hub", B): []}
    graph |= {(f"d{n}", B): [("hub", B)] for n in range(8)} | {(f"d{n}", T): [(f"d{n}", B)] for n in range(8)}
    with postgresql() as url, Ledger.open(url) as ledger:
        cascade = ledger.create_cascade(draft(graph))
        hands = FakeHands({f"build d3@1.0/{PLATFORM}": ["fail"], f"build d4@1.0/{PLATFORM}": ["fault"]})
        calls = [
            threading.Thread(target=advance, args=(ledger, cascade.id, hands), kwargs={"jobs": 2}) for _ in range(3)
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        ended = advance(ledger, cascade.id, hands)
        assert ended.cascade.state is CascadeState.BLOCKED
        assert set(hands.passed.values()) == {1}
        ledger.fence(cascade.id, ["d3"], datetime.now(UTC) + timedelta(days=1), "dead")
        assert advance(ledger, cascade.id, hands).cascade.state is CascadeState.TESTING
        assert len(list(ledger.wheels_of(cascade.id))) == 8
        assert [c.id for c in ledger.rivals(ledger.create_cascade(draft(graph, salt="x")))] == [cascade.id]
        assert ledger.replan_cascade(cascade.id, draft({("hub", B): []}), note="on another base").state == "planned"
