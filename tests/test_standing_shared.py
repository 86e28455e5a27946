"""Rebound wheels that stand in for builds where machines share a PostgreSQL ledger and a bucket, and in a fleet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cascade_farm import Farm, small
from cascades import draft
from plans import PLATFORM, digest, make_plan
from s3_server import BUCKET, credentials, s3
from test_ledger_database import emptied

from farm.cli import why
from farm.fleet.build import StepDoer
from farm.fleet.order import Order
from farm.model.artifact import Artifact
from farm.model.cascade import CascadeState, Draft
from farm.model.plan import Step
from farm.model.rework import Verb
from farm.process import Cancel
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.collect import Rules, collect
from farm.store.guard import LEAST_GRACE
from farm.store.ledger import Ledger
from farm.store.pointers import Conflict
from farm.store.remote import layout
from farm.store.remote.address import connect
from farm.store.remote.directory import DirectoryRemote
from farm.store.remote.protocol import Remote
from farm.store.shared import Shared
from farm.store.standing import stand_in
from farm.workers.step import StepCancel

KEY, OTHER = digest("key"), digest("other")
GMPY2 = f"gmpy2@1.0/{PLATFORM}"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3() as url:
        yield url


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """An empty shared store."""
    if request.param == "directory":
        (tmp_path / "common").mkdir()
        return DirectoryRemote(tmp_path / "common")
    credentials(monkeypatch, tmp_path)
    return connect(address(request))


def address(request: pytest.FixtureRequest, options: str = "") -> str:
    endpoint = request.getfixturevalue("endpoint")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={endpoint}&region=us-east-1{options}"


@pytest.fixture(params=["sqlite", "postgresql"])
def farm(request: pytest.FixtureRequest, at: Settings) -> Iterator[Farm]:
    """A farm on either database."""
    url = "" if request.param == "sqlite" else emptied(request.getfixturevalue("server"))
    with small(at, ledger=url) as farm:
        yield farm


def machine(tmp_path: Path, name: str, place: Remote, **options: object) -> Store:
    return Store(tmp_path / name, shared=Shared(place), **options)  # type: ignore[arg-type]


def moved(store: Store, tmp_path: Path, content: str) -> Artifact:
    """A wheel that was rebound, as a cascade stores it."""
    path = tmp_path / f"d-1.0-0r01.{digest(content)[:8]}-py3-none-any.whl"
    path.write_bytes(content.encode())
    return store.put(digest(f"rebind {content}"), path)


def test_machines_share_what_stands_in(tmp_path: Path, place: Remote) -> None:
    mine, other = machine(tmp_path, "mine", place), machine(tmp_path, "other", place)
    mine.let_stand_in(KEY, moved(mine, tmp_path, "moved"))
    assert other.known([KEY, OTHER]).keys() == {KEY}
    found = other.get(KEY)
    assert found is not None
    assert found.key == stand_in(KEY)
    assert other.verify(found)
    assert other.path(found).read_bytes() == b"moved"
    assert other.built(KEY) is None, "nobody built it"
    assert machine(tmp_path, "strict", place, stand_ins=False).get(KEY) is None
    with other.pinned([KEY]):
        (pin,) = place.entries(layout.PINS)
        assert layout.record(stand_in(KEY)) in (place.read(pin.name) or b"").decode().split()


def test_the_first_stand_in_is_that_of_all_machines(tmp_path: Path, place: Remote) -> None:
    """Two farms rebound the same dependent by themselves, and hear of each other when they publish."""
    conflicts: list[Conflict] = []
    mine, other = machine(tmp_path, "mine", place), machine(tmp_path, "other", place, on_conflict=conflicts.append)
    first = moved(mine, tmp_path, "first")
    second = Store(tmp_path / "other")  # what the other machine stored before it could reach the bucket
    second.let_stand_in(KEY, moved(second, tmp_path, "second"))
    mine.let_stand_in(KEY, first)
    for store in (mine, other, machine(tmp_path, "third", place)):
        found = store.get(KEY)
        assert found is not None
        assert found.sha256 == first.sha256
    assert [conflict.kept.sha256 for conflict in conflicts] == [first.sha256]


def test_a_build_of_another_machine_comes_first(tmp_path: Path, place: Remote) -> None:
    mine, other = machine(tmp_path, "mine", place), machine(tmp_path, "other", place)
    mine.let_stand_in(KEY, moved(mine, tmp_path, "moved"))
    wheel = tmp_path / "d-1.0-py3-none-any.whl"
    wheel.write_bytes(b"built")
    built = other.put(KEY, wheel)
    for store in (mine, other, machine(tmp_path, "third", place)):
        assert store.get(KEY) == built
        assert store.known([KEY]) == {KEY: built}


def test_collecting_keeps_a_stand_in_as_long_as_its_key(tmp_path: Path, place: Remote) -> None:
    mine = machine(tmp_path, "mine", place)
    for key, content in ((KEY, "needed"), (OTHER, "spare")):
        mine.let_stand_in(key, moved(mine, tmp_path, content))
    keep = {KEY, stand_in(KEY)}  # as `farm gc --shared` says it: farm.store.standing.with_stand_ins
    rules = Rules(keys=keep, sha256=(), keep_days=0, grace=LEAST_GRACE)
    marked = collect(Shared(place), rules, dry_run=False).waiting
    assert marked >= 3, "both wheels under their own keys, and what stands in for the key that nobody needs"
    layout_of = {key: layout.record(stand_in(key)) for key in (KEY, OTHER)}
    marks = (place.read(layout.MARKS) or b"").decode()
    assert layout_of[KEY] not in marks
    assert layout_of[OTHER] in marks


def test_who_may_not_publish_takes_what_stands_in(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch, tmp_path)
    url = address(request)
    mine = machine(tmp_path, "mine", connect(url))
    mine.let_stand_in(KEY, moved(mine, tmp_path, "moved"))
    reader = machine(tmp_path, "reader", connect(f"{url}&readonly=yes"))
    assert reader.get(KEY) is not None
    reader.let_stand_in(OTHER, moved(reader, tmp_path, "mine alone"))
    assert reader.get(OTHER) is not None
    assert mine.get(OTHER) is None


def started(farm: Farm, rebinding: str) -> int:
    """A cascade that rebinds gmpy2 for the same build as any other one here, from a wheel of its own."""
    id_ = farm.start("gmp", "gmpy2")
    farm.ledger.replan_cascade(id_, _from(farm, id_, rebinding), note="")
    return id_


def _from(farm: Farm, id_: int, rebinding: str) -> Draft:
    graph: dict[tuple[str, Verb], Sequence[tuple[str, Verb]]] = {
        ("gmp", Verb.BUILD): [],
        ("gmpy2", Verb.REBIND): [("gmp", Verb.BUILD)],
    }
    made, cascade = draft(graph, base=farm.index.current_number("staging")), farm.ledger.cascade(id_)
    gmp, gmpy2 = made.tasks
    moved = replace(gmpy2, task=replace(gmpy2.task, key=digest(rebinding), why=rebinding))
    return replace(made, tasks=(gmp, moved), catalog=cascade.catalog, before=cascade.before)


def key_of_gmpy2(farm: Farm, id_: int) -> str:
    return farm.ledger.steps_of(id_, [GMPY2])[GMPY2].key


def test_what_a_cascade_rebound_stands_in_once_it_is_staged(farm: Farm) -> None:
    id_ = farm.start("gmp", "gmpy2")
    key = key_of_gmpy2(farm, id_)
    assert farm.store.get(key) is None
    assert farm.advance(id_).state is CascadeState.STAGED
    found = farm.store.get(key)
    assert found is not None
    assert found.key == stand_in(key)
    assert found.sha256 in farm.offered(f"cascade-{id_}").values()
    (by,) = farm.ledger.rebound_by(key)
    assert (by.cascade, by.why) == (id_, "because")
    assert farm.store.get(by.key) is not None


def test_what_failed_stands_in_for_nothing(farm: Farm) -> None:
    id_ = farm.start("gmp", "gmpy2")
    farm.hands.make["gmpy2"] = ("gmpy2", "2.2", "native-gmp>=12!0")  # nothing that the channel has
    assert farm.advance(id_).state is CascadeState.BLOCKED
    assert farm.store.get(key_of_gmpy2(farm, id_)) is None
    assert farm.ledger.rebound_by(key_of_gmpy2(farm, id_)) == ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_cascade_that_was_staged_first_let_its_wheel_stand_in(farm: Farm, order: tuple[int, int]) -> None:
    """Whichever was started first; a later one that rebound the same and was never sound let nothing stand in."""
    ids = [started(farm, f"rebinding {number}") for number in range(3)]
    key = key_of_gmpy2(farm, ids[0])
    assert {key_of_gmpy2(farm, id_) for id_ in ids} == {key}
    for other in (one for one in ids if one != ids[order[0]]):  # it makes some of the same: one at a time
        farm.ledger.move_cascade(other, CascadeState.BLOCKED, of=(CascadeState.PLANNED,))
    for number in order:
        farm.ledger.move_cascade(ids[number], CascadeState.BUILDING, of=(CascadeState.BLOCKED,))
        assert farm.advance(ids[number]).state is CascadeState.STAGED
        farm.promoter.abandon(ids[number], "another one is wanted")
    farm.ledger.move_cascade(ids[2], CascadeState.BUILDING, of=(CascadeState.BLOCKED,))
    farm.hands.make["gmpy2"] = ("gmpy2", "2.2", "native-gmp>=12!0")
    assert farm.advance(ids[2]).state is CascadeState.BLOCKED
    first, second = (ids[number] for number in order)
    by = farm.ledger.rebound_by(key)
    assert [one.cascade for one in by] == [first, second]
    stored = farm.store.get(key)
    assert stored is not None
    made = farm.store.get(by[0].key)
    assert made is not None
    assert made.sha256 == stored.sha256
    told = why.rebound_by(stored, tuple(reversed(by)), farm.store)
    assert told == by[0], "what is stored says whose it is, even if it was made anew"


class Builder:
    """Builds whatever it is asked for, and counts."""

    def __init__(self, store: Store, place: Path) -> None:
        self.store, self.place, self.built = store, place, 0

    def __call__(self, step: Step, deps: object, cancel: Cancel, report: object, /) -> Artifact:
        del deps, cancel, report
        self.built += 1
        wheel = self.place / f"{step.recipe}-1.0-py3-none-any.whl"
        wheel.write_bytes(b"built")
        return self.store.put(step.key, wheel)


@contextmanager
def worker(tmp_path: Path, ledger: str, place: Remote) -> Iterator[tuple[StepDoer, Builder]]:
    """What a worker elsewhere does with orders to build."""
    plan = make_plan({"gmp": [], "gmpy2": []})
    steps, store = plan.by_id(), machine(tmp_path, "worker", place)
    builder = Builder(store, tmp_path)
    with Ledger.open(ledger) as opened:
        opened.record_plan(plan.steps)
        yield (
            StepDoer(
                store=store,
                ledger=opened,
                logs=tmp_path / "logs",
                plan_of=lambda order: (plan, steps.get(order.step), builder),
            ),
            builder,
        )


def test_a_worker_that_is_asked_for_a_build_builds(tmp_path: Path, place: Remote, server: str) -> None:
    """`farm build --no-rebound --broker`: the worker sees what stands in, too, and must not call that done."""
    (step,) = (one for one in make_plan({"gmp": [], "gmpy2": []}).steps if one.recipe == "gmpy2")
    asking = machine(tmp_path, "asking", place, stand_ins=False)
    asking.let_stand_in(step.key, moved(asking, tmp_path, "moved"))
    order = Order(kind="build", step=step.id, key=step.key, catalog="0" * 64, rights="build")
    with worker(tmp_path, emptied(server), place) as (doer, builder):
        done = doer(order, StepCancel(Cancel()), lambda _event: None)
        assert (done.ok, done.said["state"], builder.built) == (True, "built", 1)
        again = doer(order, StepCancel(Cancel()), lambda _event: None)
        assert (again.ok, again.said["state"], builder.built) == (True, "cached", 1)
        assert doer.ledger.built(step.key) is not None
    found = asking.get(step.key)
    assert found is not None
    assert found.key == step.key
