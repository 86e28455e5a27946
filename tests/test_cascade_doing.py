"""The farm's own hands, where no compiler is needed to see what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from cascade_farm import Farm, small, wheel
from cascades import draft
from plans import PLATFORM

from farm.cascade.advance import Advance
from farm.cascade.doing import Catalogs, FarmHands
from farm.errors import GateError
from farm.gates.audit import AuditPolicy
from farm.model.cascade import CascadeState, CascadeTask, TaskState
from farm.model.rework import Verb
from farm.settings import Settings
from farm.store import frozen

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
