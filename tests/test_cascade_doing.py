"""The farm's own hands, where no compiler is needed to see what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import catalog_builder
import pytest
import toy
from cascade_farm import Farm, small, wheel
from cascades import draft, step
from plans import PLATFORM

from farm import trial
from farm.cascade.advance import Advance
from farm.cascade.catalogs import Catalogs
from farm.cascade.doing import FarmHands
from farm.errors import GateError, StoreError
from farm.gates.audit import AuditPolicy
from farm.model.cascade import CascadeState, CascadeTask, DraftTask, TaskState
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.model.rework import Task, Verb
from farm.runners import SmokeResult
from farm.settings import Settings
from farm.store import frozen
from farm.trial import Trial
from farm.wheel.archive import WheelArchive

R = Verb.REBIND


@pytest.fixture
def farm(at: Settings) -> Iterator[Farm]:
    with small(at) as farm:
        yield farm


def hands(farm: Farm, rebind: object) -> FarmHands:
    return FarmHands(
        settings=farm.at, store=farm.store, ledger=farm.ledger, catalogs=Catalogs(settings=farm.at),
        findings=lambda step, found: None, rebind=rebind,  # type: ignore[arg-type]
    )  # fmt: skip


def started(farm: Farm) -> CascadeTask:
    """A cascade that moves gmpy2, whose wheel is stored."""
    digest = frozen.freeze(farm.at, farm.at.catalog)
    made = replace(draft({("gmpy2", R): []}), catalog=digest, before=digest)
    (task,) = farm.ledger.tasks_of(farm.ledger.create_cascade(made).id)
    tag = f"{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}"
    farm.store.put(task.source, wheel(farm.at.home, "gmpy2", "2.2", "native-gmp>=10!6", tag=tag, content="here"))
    return task


def test_a_moved_wheel_is_stored_under_the_task_s_key(farm: Farm) -> None:
    task = started(farm)

    def rebind(source: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy) -> Path:
        assert source == farm.store.path(farm.store.get(task.source))  # type: ignore[arg-type]
        return wheel(out, "gmpy2", "2.2", "native-gmp>=11!6", tag=f"{toy.PYTHON}-none-any", content="moved")

    ended = Advance(farm.ledger.cascade(1), ledger=farm.ledger, hands=hands(farm, rebind)).to_the_end()
    assert ended.cascade.state is CascadeState.TESTING
    moved = farm.store.get(task.key)
    assert moved is not None
    assert moved.filename == f"gmpy2-2.2-{toy.PYTHON}-none-any.whl"


def test_what_cannot_be_moved_rightly_is_built_instead(farm: Farm) -> None:
    task = started(farm)

    def rebind(*_: object) -> Path:
        raise GateError("toy_mul is not there any more", where="gmpy2", fix="build it instead")

    told: list[str] = []
    Advance(
        farm.ledger.cascade(1),
        ledger=farm.ledger,
        hands=hands(farm, rebind),
        tell=lambda event: told.append(event.message),
    ).to_the_end()
    built, there = farm.store.get(task.key), farm.store.get(task.source)  # its step is stored, so no compiler is asked
    assert built is not None
    assert there is not None
    assert built.sha256 == there.sha256
    assert "built, because it could not be rebound: toy_mul is not there any more" in told


def test_while_another_process_builds_it_the_task_waits(farm: Farm) -> None:
    task = started(farm)
    assert farm.ledger.lease(task.source) is not None

    def rebind(*_: object) -> Path:
        raise GateError("no", where="gmpy2")

    ended = Advance(farm.ledger.cascade(1), ledger=farm.ledger, hands=hands(farm, rebind)).to_the_end()
    assert ended.next_try is not None
    assert [one.state for one in farm.ledger.tasks_of(1)] == [TaskState.READY]


def test_a_wheel_that_is_gone_is_said(farm: Farm) -> None:
    digest = frozen.freeze(farm.at, farm.at.catalog)
    farm.ledger.create_cascade(replace(draft({("gmpy2", R): []}), catalog=digest, before=digest))
    ended = Advance(farm.ledger.cascade(1), ledger=farm.ledger, hands=hands(farm, None)).to_the_end()
    assert ended.cascade.state is CascadeState.BLOCKED
    (task,) = farm.ledger.tasks_of(1)
    assert "its wheel is not in the store any more" in task.error


def test_a_dependent_is_tested_with_the_wheels_that_its_cascade_made(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gmpy2 runs with two others: one is moved by the cascade, one stays as it is stored."""
    catalog_builder.write_recipe(farm.at.catalog, catalog_builder.dependent("moved", host=["gmp"]))
    catalog_builder.write_recipe(farm.at.catalog, catalog_builder.dependent("stays", host=["gmp"]))
    needs = {"host": ["gmp"], "dependents": ["moved", "stays"]}
    catalog_builder.write_recipe(farm.at.catalog, catalog_builder.dependent("gmpy2", requires=needs))
    frozen_at = frozen.freeze(farm.at, farm.at.catalog)

    def of(name: str, kind: str = "dependent") -> Step:
        one, python = step(name), f"/{toy.PYTHON}" if kind == "dependent" else ""
        made = replace(one, kind=kind, python=python[1:] or None, requires=())  # type: ignore[arg-type]
        return replace(made, id=f"{one.id}{python}", slot=f"{one.slot}{python}")

    steps = {name: of(name) for name in ("gmpy2", "moved", "stays")} | {"gmp": of("gmp", "library")}
    moved, tested = f"rebind {steps['moved'].id}", f"test {steps['gmpy2'].id}"
    common: dict[str, Any] = {"why": "because", "seconds": None}
    tasks = (
        Task(id=moved, verb=R, step=steps["moved"].id, key="1" * 64, requires=(), natives={}, **common),
        Task(
            id=tested, verb=Verb.TEST, step=steps["gmpy2"].id, key="2" * 64, requires=(moved,), natives={"gmp": "1.0"},
            beside=(steps["moved"].id, steps["stays"].id), **common,
        ),
    )  # fmt: skip
    drafted = tuple(
        DraftTask(task=task, source=steps[name].key, rank=rank)
        for rank, (task, name) in enumerate(zip(tasks, ("moved", "gmpy2"), strict=True))
    )
    base = draft({("gmp", R): []})
    farm.ledger.create_cascade(
        replace(base, catalog=frozen_at, before=frozen_at, tasks=drafted, steps=tuple(steps.values()))
    )
    tag = f"{toy.PYTHON}-{toy.PYTHON}-{PLATFORM}"
    for name, one in steps.items():
        project, tags = (f"native-{name}", "") if name == "gmp" else (name, tag)
        farm.store.put(one.key, wheel(farm.at.home, project, "1.0", tag=tags, content=f"{name} as it was"))
    farm.ledger.record_plan(list(steps.values()))
    tried: list[Trial] = []

    def passes(it: Trial, *_: object, **__: object) -> SmokeResult:
        tried.append(it)
        return SmokeResult(outcome=Outcome.PASSED)

    monkeypatch.setattr(trial, "run", passes)

    def rebind(source: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy) -> Path:
        return wheel(out, "moved", "1.0", tag=tag, content="moved now")

    Advance(farm.ledger.cascade(1), ledger=farm.ledger, hands=hands(farm, rebind)).to_the_end()
    assert [task.state for task in farm.ledger.tasks_of(1)] == ["done", "done"], [
        task.error for task in farm.ledger.tasks_of(1)
    ]
    (it,) = tried
    assert {content(path) for path in it.beside} == {"gmp as it was", "moved now", "stays as it was"}


def content(path: Path) -> str:
    """What the one module of a wheel says."""
    with WheelArchive.open(path) as archive:
        return archive.read(f"{path.name.partition('-')[0]}/__init__.py").decode().split("'")[1]


@pytest.mark.parametrize("kind", ["gone", "short", "more", "link", "directory"])
def test_a_frozen_catalog_that_is_not_as_it_was_is_not_worked_from(farm: Farm, kind: str) -> None:
    """Above all a pinned ABI that is gone: without it every ABI would pass."""
    pin = farm.at.catalog / "recipes/gmp/abi/6.2.1/p.abi"
    pin.parent.mkdir(parents=True)
    pin.write_text("abi 1\n")
    digest = frozen.freeze(farm.at, farm.at.catalog)
    assert "gmp" in Catalogs(settings=farm.at).named(digest).recipes
    kept = frozen.folder(farm.at) / digest / pin.relative_to(farm.at.catalog)
    if kind == "more":
        kept.with_name("q.abi").write_text("abi 1\n")
    else:
        kept.unlink()
    if kind == "short":
        kept.write_text("abi")
    elif kind == "link":
        kept.symlink_to(kept.with_name("nowhere"))
    elif kind == "directory":
        kept.mkdir()
    with pytest.raises(StoreError, match="is not as it was frozen"):
        Catalogs(settings=farm.at).named(digest)
