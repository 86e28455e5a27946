"""What a run of a plan does: order, failures, retries, interruption, several processes, bugs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from disks import small_disk
from plans import make_plan

from farm import process
from farm.errors import BuildError, StoreError, UnreachableError
from farm.model.artifact import Artifact
from farm.model.events import State, StepEvent
from farm.model.plan import Plan, Step
from farm.process import Cancel, run
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.workers.local import run_plan
from farm.workers.step import Reporter

DIAMOND = {"gmp": (), "zlib": (), "mpfr": ("gmp",), "mpc": ("gmp", "mpfr"), "flint": ("gmp", "mpfr")}


class Builder:
    """A `run_step` that stores a tiny wheel; `hook` may fail first."""

    def __init__(self, store: Store, tmp: Path, hook: Callable[[Step, Cancel], None] | None = None) -> None:
        self.store = store
        self.tmp = tmp
        self.hook = hook
        self.built: Counter[str] = Counter()
        self.deps: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def __call__(self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report_phase: Reporter) -> Artifact:
        with self._lock:
            self.built[step.recipe] += 1
            self.deps[step.recipe] = tuple(deps)
        report_phase("make")
        process.add_cpu(1.5)
        if self.hook is not None:
            self.hook(step, cancel)
        wheel = self.tmp / f"{step.recipe}-1.0-py3-none-any.whl"
        wheel.write_bytes(step.key.encode())
        return self.store.put(step.key, wheel)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home" / "store")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/home/ledger.sqlite") as ledger:
        yield ledger


def states(result: object) -> dict[str, str]:
    return {id_.split("@")[0]: o.state.value for id_, o in result.outcomes.items()}  # type: ignore[attr-defined]


def test_builds_in_order_with_all_requirements_then_nothing_to_do(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    plan = make_plan(DIAMOND)
    builder = Builder(store, tmp_path)
    events: list[StepEvent] = []
    result = run_plan(plan, builder, store=store, ledger=ledger, jobs=2, listener=events.append)
    assert result.ok
    assert set(states(result).values()) == {"built"}
    assert list(result.outcomes) == [s.id for s in plan.steps]
    assert builder.deps["mpc"] == plan.by_id()[next(i for i in result.outcomes if i.startswith("mpc"))].requires
    assert [e.phase for e in events if e.step.startswith("gmp") and e.phase] == ["make"]
    attempt = ledger.last_attempt(plan.steps[0].key)
    assert attempt is not None
    assert (attempt.state, attempt.phase) == (State.BUILT, "make")
    assert 1.5 <= attempt.cpu_seconds < 3  # the builder says 1.5: counted, and counted once
    assert ledger.holder(plan.steps[0].key) is None

    def no_ledger() -> Ledger:
        raise AssertionError("nothing to build, so the ledger is not opened")

    again = run_plan(plan, builder, store=store, ledger=no_ledger, jobs=2)
    assert set(states(again).values()) == {"cached"}
    assert max(builder.built.values()) == 1


def test_a_failure_blocks_its_dependents_only_and_its_words_are_kept(
    store: Store, ledger: Ledger, tmp_path: Path
) -> None:
    def hook(step: Step, cancel: Cancel) -> None:
        if step.recipe == "mpfr":
            raise BuildError("make: *** [mpfr.o] Error 1", where=step.id)

    plan = make_plan(DIAMOND)
    result = run_plan(plan, Builder(store, tmp_path, hook), store=store, ledger=ledger, jobs=2)
    assert states(result) == {
        "gmp": "built",
        "zlib": "built",
        "mpfr": "failed",
        "mpc": "blocked",
        "flint": "blocked",
    }
    failed = result.having(State.FAILED)[0]
    assert isinstance(failed.error, BuildError)
    assert "mpfr@1.0" in result.having(State.BLOCKED)[0].message
    attempt = ledger.last_attempt(plan.steps[2].key)
    assert attempt is not None
    assert "Error 1" in attempt.error


def test_only_faults_of_the_infrastructure_are_retried(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    def hook(step: Step, cancel: Cancel) -> None:
        if step.recipe == "gmp" and builder.built["gmp"] == 1:
            raise UnreachableError("no mirror answered")
        if step.recipe == "zlib":
            raise BuildError("compiler error")

    builder = Builder(store, tmp_path, hook)
    result = run_plan(make_plan({"gmp": (), "zlib": ()}), builder, store=store, ledger=ledger, jobs=2)
    assert states(result) == {"gmp": "built", "zlib": "failed"}
    assert builder.built == {"gmp": 2, "zlib": 1}


def test_a_bug_is_raised_at_the_end_with_its_traceback_in_the_log(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    def hook(step: Step, cancel: Cancel) -> None:
        if step.recipe == "gmp":
            raise ZeroDivisionError("a bug")

    plan = make_plan({"gmp": (), "zlib": (), "png": ("zlib",)})
    builder = Builder(store, tmp_path, hook)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_plan(plan, builder, store=store, ledger=ledger, jobs=1)
    assert builder.built["png"] == 1
    log = tmp_path / "home" / "logs" / f"{plan.steps[0].key}.log"
    assert "ZeroDivisionError: a bug" in log.read_text()
    attempt = ledger.last_attempt(plan.steps[0].key)
    assert attempt is not None
    assert attempt.state is State.FAILED


def test_a_damaged_requirement_is_built_again_before_it_is_used(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",)})
    run_plan(Plan(steps=plan.steps[:1]), Builder(store, tmp_path), store=store, ledger=ledger, jobs=1)
    artifact = store.get(plan.steps[0].key)
    assert artifact is not None
    blob = store.path(artifact)
    blob.chmod(0o644)
    blob.write_bytes(b"x" * artifact.size)
    builder = Builder(store, tmp_path)
    assert run_plan(plan, builder, store=store, ledger=ledger, jobs=1).ok
    assert builder.built == {"gmp": 1, "mpfr": 1}


def test_cancel_kills_programs_closes_attempts_and_frees_leases(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    running = threading.Event()

    def hook(step: Step, cancel: Cancel) -> None:
        running.set()
        run(["sleep", "infinity"], cancel=cancel)  # ends by the cancel or never

    cancel = Cancel()

    def cancels() -> None:
        running.wait(10)
        cancel.set()

    threading.Thread(target=cancels, daemon=True).start()
    plan = make_plan({"gmp": (), "mpfr": ("gmp",)})
    result = run_plan(plan, Builder(store, tmp_path, hook), store=store, ledger=ledger, jobs=1, cancel=cancel)
    assert set(states(result).values()) == {"cancelled"}
    attempt = ledger.last_attempt(plan.steps[0].key)
    assert attempt is not None
    assert attempt.state is State.CANCELLED
    assert ledger.leased_keys() == set()


def test_a_lost_lease_stops_the_build_and_the_other_result_is_taken(
    store: Store, ledger: Ledger, tmp_path: Path
) -> None:
    """As after a long suspend: another process has taken the step over and finishes it."""
    from sqlalchemy import update

    from farm.store.tables import leases

    plan = make_plan({"gmp": ()})
    key = plan.steps[0].key

    def hook(step: Step, cancel: Cancel) -> None:
        taken = {"token": leases.c.token + 1, "expires": leases.c.expires + 60_000}
        with ledger.writing() as connection:
            connection.execute(update(leases).where(leases.c.key == key).values(taken))
        run(["sleep", "infinity"], cancel=cancel)  # ends by the cancel or never

    def other() -> None:
        time.sleep(2)
        wheel = tmp_path / "gmp-1.0-py3-none-any.whl"
        wheel.write_bytes(b"theirs")
        store.put(key, wheel)

    threading.Thread(target=other, daemon=True).start()
    builder = Builder(store, tmp_path, hook)
    result = run_plan(plan, builder, store=store, ledger=ledger, jobs=1, lease_seconds=1.0)
    assert states(result) == {"gmp": "cached"}
    assert builder.built == {"gmp": 1}


def test_a_full_disk_fails_the_step_with_advice_and_the_next_run_goes_on(tmp_path: Path) -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",)})
    with small_disk(tmp_path / "disk", "3m") as disk:
        store = Store(disk / "store")
        ballast = disk / "ballast"

        def fill(step: Step, cancel: Cancel) -> None:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
                while stream.write(b"x" * 4096):
                    pass

        with Ledger.open(f"sqlite:///{disk}/ledger.sqlite") as ledger:
            full = Builder(store, tmp_path, fill)  # not even the release of its lease can be written: it expires
            result = run_plan(plan, full, store=store, ledger=ledger, jobs=1, lease_seconds=0.5)
            assert states(result) == {"gmp": "failed", "mpfr": "blocked"}
            error = result.having(State.FAILED)[0].error
            assert isinstance(error, StoreError)
            assert "farm gc" in error.fix
            ballast.unlink()
            again = Builder(store, tmp_path)
            assert run_plan(plan, again, store=store, ledger=ledger, jobs=1, lease_seconds=0.5).ok
