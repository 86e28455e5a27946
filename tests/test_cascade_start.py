"""What counts as before a change: what a cascade brought, but for what was fenced in it or rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cascade_farm import wheel
from catalog_builder import catalog, dependent, library
from reworks import releases

from farm.cascade.catalogs import Catalogs
from farm.cascade.draft import Request
from farm.cascade.start import Starter
from farm.cli.cascading import Rooms
from farm.errors import NothingToDoError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.cascade import Cascade, CascadeKind, CascadeState
from farm.settings import load
from farm.store.artifacts import Store
from farm.store.files import file_sha256
from farm.store.home import prepare
from farm.store.ledger import Ledger

EVERYTHING = Request(kind=CascadeKind.SCHEDULE, what="all", channel="staging")


@contextmanager
def a_farm(tmp_path: Path) -> Iterator[tuple[Starter, Path]]:
    root = catalog(tmp_path / "catalog", library("gmp", release=releases("6.2")), dependent("d", host=["gmp"]))
    settings = load(catalog=root, home=tmp_path / "home")
    prepare(settings.home)
    with Ledger.open(settings.home / "ledger.sqlite") as ledger:
        rooms = Rooms(
            settings=settings,
            store=Store(settings.home / "store"),
            ledger=ledger,
            index=Index(settings.index),
            catalogs=Catalogs(settings=settings),
        )
        yield rooms.starter, root


def promoted(starter: Starter, root: Path, *fenced: str, until: datetime) -> Cascade:
    """A cascade of everything that users have."""
    cascade = starter.start(EVERYTHING, root, None)
    if fenced:
        starter.ledger.fence(cascade.id, fenced, until, "its upstream is dead")
    made = wheel(root, "native-gmp", "1!6.2")
    served = starter.index.publish("staging", [IndexFile(path=made, sha256=file_sha256(made))], comment="all")
    starter.ledger.move_cascade(cascade.id, CascadeState.PROMOTED, of=set(CascadeState), promoted=served.number)
    return cascade


@pytest.mark.parametrize("days", [-1, 1])
def test_what_was_fenced_is_made_when_its_time_is_over(tmp_path: Path, days: int) -> None:
    """Its inputs are those of the last cascade, which did not make it: users have an older wheel."""
    with a_farm(tmp_path) as (starter, root):
        promoted(starter, root, "d", until=datetime.now(UTC) + timedelta(days=days))
        if days > 0:
            with pytest.raises(NothingToDoError):
                starter.start(EVERYTHING, root, None)
            return
        again = starter.start(EVERYTHING, root, None)
        tasks = {task.id.partition("@")[0] for task in starter.ledger.tasks_of(again.id)}
        assert {"build d", "test d"} <= tasks


def test_a_channel_that_was_rolled_back_is_not_what_was_promoted(tmp_path: Path) -> None:
    with a_farm(tmp_path) as (starter, root):
        first = starter.index.publish("staging", [], comment="before")
        promoted(starter, root, until=datetime.now(UTC) + timedelta(days=1))
        with pytest.raises(NothingToDoError):
            starter.start(EVERYTHING, root, None)
        starter.index.rollback("staging", first.number)
        again = starter.start(EVERYTHING, root, None)
        assert {task.recipe for task in starter.ledger.tasks_of(again.id)} == {"gmp", "d"}
