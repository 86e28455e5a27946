"""`farm gc` and cascades: what is at work stays, what is over goes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from cascade_farm import Farm, small

from farm.cli import run
from farm.model.cascade import CascadeState
from farm.settings import Settings
from farm.store import frozen
from farm.store.ledger import Ledger


@pytest.fixture
def farm(at: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    monkeypatch.setenv("FARM_CACHE", str(at.cache))
    with small(at) as farm:
        monkeypatch.setenv("FARM_LEDGER", f"sqlite:///{farm.ledger.url}")
        yield farm


def gc(farm: Farm, capsys: pytest.CaptureFixture[str], *more: str) -> set[tuple[str, str]]:
    """What goes: kind and name."""
    capsys.readouterr()
    words = ["--catalog", str(farm.at.catalog), "--home", str(farm.at.home), "gc", "--keep-days", "0", "--json", *more]
    assert run(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {(row["kind"], row["name"]) for row in found["removed"]}


def test_what_a_cascade_needs_is_kept_while_it_is_at_work(farm: Farm, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = farm.start("gmp", "gmpy2")
    farm.advance(id_)
    for path in frozen.folder(farm.at).iterdir():
        os.utime(path, (0, 0))
    catalog = farm.ledger.cascade(id_).catalog
    gone = gc(farm, capsys)
    assert not {kind for kind, _ in gone} & {"artifact", "catalog", "channel"}
    farm.promoter.abandon(id_, "not needed")
    gone = gc(farm, capsys, "--dry-run")
    assert {("catalog", catalog), ("channel", f"cascade-{id_}")} <= gone
    assert gc(farm, capsys) == gone, "it does what it said"
    assert farm.index.numbers(f"cascade-{id_}") == []
    assert not (frozen.folder(farm.at) / catalog).exists()
    assert gc(farm, capsys) & gone == set()


def test_after_gc_a_cascade_that_was_rolled_back_is_staged_anew(farm: Farm, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = farm.start("gmp", "gmpy2")
    farm.advance(id_)
    farm.promoter.promote(id_)
    after = farm.offered()
    assert ("channel", f"cascade-{id_}") in gc(farm, capsys)
    assert farm.offered() == after, "what users see stays"
    farm.promoter.rollback(id_)
    assert farm.promoter.promote(id_).state is CascadeState.PROMOTED
    assert farm.offered() == after


def test_the_ledger_is_the_one_that_was_filled(farm: Farm) -> None:
    """The tests above look at one ledger through two doors."""
    with Ledger.open(os.environ["FARM_LEDGER"]) as other:
        assert other.cascades() == farm.ledger.cascades()
