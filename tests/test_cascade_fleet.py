"""A cascade whose tasks are carried out by a worker with a FARM_HOME of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lost_answers
import pytest
import toy
from cascade_farm import Farm, small, wheel
from sqlalchemy import update
from test_cascade_doing import hands, started
from test_fleet_orders import Silent

from farm.cascade.advance import Advance, Advanced
from farm.cascade.catalogs import Catalogs
from farm.cascade.fleet import FleetTaskHands, TaskDoer
from farm.errors import StoreError
from farm.fleet import queues, signing, trust
from farm.fleet.slot import Slot
from farm.gates.audit import AuditPolicy
from farm.model.cascade import CascadeState
from farm.model.outcome import Outcome
from farm.process import Cancel
from farm.settings import Settings
from farm.store import frozen, home
from farm.store.artifacts import Store
from farm.store.cascade_tables import cascades
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared


@pytest.fixture
def farm(at: Settings) -> Iterator[Farm]:
    with small(at) as farm:
        yield farm


@contextmanager
def fleet(farm: Farm, rebind: object) -> Iterator[FleetTaskHands]:
    """The hands of one who asks, with a worker elsewhere."""
    signer = signing.make_key(farm.at.home / "key.pem")
    trust.trust(farm.at.home / "trusted", trust.line_of(signer, ("build",), "test"))
    there = replace(farm.at, home=farm.at.home.parent / "there", catalog=farm.at.home.parent / "none")
    home.prepare(there.home)
    own = hands(farm, rebind)
    slot = Slot(
        ledger=farm.ledger,
        queues=queues.of_machine("build", "x86_64"),
        doers={"task": TaskDoer(hands=replace(own, settings=there, catalogs=Catalogs(settings=there)))},
        trusted=trust.TrustFile(farm.at.home / "trusted"),
        right="build",
        screen=Silent(),
    )
    stop, no_more, wake = Cancel(), threading.Event(), threading.Event()
    serving = threading.Thread(target=slot.serve, args=(stop, no_more, wake))
    serving.start()
    asking = FleetTaskHands(run="r", own=hands(farm, None), signer=signer, rights="build", wake=lambda _new: wake.set())
    try:
        yield asking
    finally:
        asking.close()
        stop.set()
        wake.set()
        serving.join()


def advanced(farm: Farm, rebind: object) -> Advanced:
    with fleet(farm, rebind) as asking:
        return Advance(farm.ledger.cascade(1), ledger=farm.ledger, hands=asking, jobs=8).to_the_end()


def test_a_worker_elsewhere_does_what_a_cascade_asks_for(farm: Farm) -> None:
    task = started(farm)

    def rebind(source: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy) -> Path:
        return wheel(out, "gmpy2", "2.2", "native-gmp>=11!6", tag=f"{toy.PYTHON}-none-any", content="moved")

    ended = advanced(farm, rebind)
    assert ended.cascade.state is CascadeState.TESTING
    assert (ended.done, farm.store.get(task.key) is not None) == (1, True)
    there = farm.at.home.parent / "there"
    assert (there / "cascades" / farm.ledger.cascade(1).catalog).is_dir(), "the catalog came with the order"
    assert farm.ledger.leased_keys() == set()
    assert farm.ledger.keys_of_jobs() == set()


def test_nobody_else_builds_what_a_worker_has_for_a_cascade_though_who_asked_is_gone(farm: Farm) -> None:
    task = started(farm)
    others: list[object] = []

    def rebind(source: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy) -> Path:
        others.append(farm.ledger.lease(task.key))
        return wheel(out, "gmpy2", "2.2", "native-gmp>=11!6", tag=f"{toy.PYTHON}-none-any", content="moved")

    with fleet(farm, rebind) as asking:  # without a lease of whoever advances the cascade, as if that was killed
        assert asking.carry_out(farm.ledger.cascade(1), task, Cancel()).outcome is Outcome.PASSED
        assert asking.key_of(task) != task.key
    assert others == [None]


def test_workers_find_what_goes_into_a_task_though_the_shared_store_had_lost_it(farm: Farm) -> None:
    (farm.at.home / "common").mkdir()
    common = Shared(DirectoryRemote(farm.at.home / "common"))
    farm.store = Store(farm.at.store, shared=common)
    task = started(farm)
    source = farm.store.get(task.source)
    assert source is not None
    common.drop(source)
    assert common.find(task.source) is None

    def rebind(*_: object) -> Path:
        raise ValueError("a bug")

    with fleet(farm, rebind) as asking:
        asking.carry_out(farm.ledger.cascade(1), task, Cancel())
    assert common.find(task.source) == source


def test_answers_of_the_ledger_that_are_lost_cost_no_task(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    started(farm)
    calls: list[int] = []

    def rebind(*_: object) -> Path:
        calls.append(1)
        raise ValueError("a bug")

    lost = lost_answers.lose(monkeypatch, farm.ledger, "submit_jobs", "ended_jobs")
    assert advanced(farm, rebind).cascade.state is CascadeState.BLOCKED
    assert lost == {"submit_jobs", "ended_jobs"}
    assert len(calls) == 1


def test_what_a_worker_could_not_do_is_tried_again_or_blocks_as_at_home(farm: Farm) -> None:
    started(farm)
    calls: list[int] = []

    def rebind(*_: object) -> Path:
        calls.append(1)
        if len(calls) == 1:
            raise StoreError("no space left", where="disk")
        raise ValueError("a bug")

    ended = advanced(farm, rebind)
    assert len(calls) == 2, "a full disk is tried again"
    assert ended.cascade.state is CascadeState.BLOCKED
    (failed,) = farm.ledger.tasks_of(1)
    assert "internal error" in failed.error
    assert farm.ledger.task_at(1, failed.position) == failed
    assert farm.ledger.task_at(1, 99) is None


def test_what_was_done_for_somebody_who_was_killed_is_not_done_again(farm: Farm) -> None:
    task = started(farm)
    made = wheel(farm.at.home, "gmpy2", "2.2", "native-gmp>=11!6", tag=f"{toy.PYTHON}-none-any", content="moved")
    farm.store.put(task.key, made)

    def never(*_: object) -> Path:
        raise AssertionError("carried out")

    with fleet(farm, never) as asking:
        deed = asking.carry_out(farm.ledger.cascade(1), task, Cancel())
    assert deed.outcome is Outcome.PASSED


def test_a_worker_refuses_a_task_that_was_planned_anew(farm: Farm) -> None:
    task = started(farm)
    other = replace(task, key="ab" * 32)

    def never(*_: object) -> Path:
        raise AssertionError("carried out")

    with fleet(farm, never) as asking:
        deed = asking.carry_out(farm.ledger.cascade(1), other, Cancel())
    assert "was planned anew" in deed.reason
    assert frozen.folder(farm.at).is_dir()


def test_a_key_for_some_recipes_is_none_for_the_tasks_of_others(farm: Farm) -> None:
    """The order names a step that the key may ask for, and the place of another one's task."""
    task = started(farm)

    def never(*_: object) -> Path:
        raise AssertionError("carried out")

    with fleet(farm, never) as asking:
        deed = asking.carry_out(farm.ledger.cascade(1), replace(task, step=f"zlib@1/{task.platform}"), Cancel())
    assert deed.outcome is Outcome.FAILED
    assert "was planned anew" in deed.reason


def test_a_worker_goes_by_the_catalog_that_was_signed_whatever_the_ledger_says(farm: Farm) -> None:
    """Who can write the ledger, and holds no key, names another catalog that this worker has."""
    task = started(farm)
    there = replace(farm.at, home=farm.at.home.parent / "there")
    home.prepare(there.home)
    (farm.at.catalog / "recipes/gmp/notes.txt").write_text("another")
    other = frozen.freeze(there, farm.at.catalog)

    def never(*_: object) -> Path:
        raise AssertionError("carried out")

    with fleet(farm, never) as asking:
        asked = farm.ledger.cascade(1)
        with farm.ledger.writing() as connection:
            connection.execute(update(cascades).values(catalog=other))
        deed = asking.carry_out(asked, task, Cancel())
    assert "is not the cascade's" in deed.reason
