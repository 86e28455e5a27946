"""`farm gc`, at home and in a shared store: random generations, leases, pins, rules, kills; what is needed stays."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plans import digest
from wheel_factory import make_wheel

from farm.cli import run
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.store import files
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.store.remote import layout
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared

COUNT = 6
NAMES = [f"native_gmp-10!6.3.{n}-py3-none-manylinux_2_17_x86_64.whl" for n in range(COUNT)]
KEYS = [digest(name) for name in NAMES]
SOME = st.sets(st.integers(0, COUNT - 1), max_size=2)


class Killed(BaseException):
    """kill -9."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened before: `shelf` is what is published (True) and removed (False), one generation each."""

    shelf: list[tuple[bool, int]]
    leased: set[int]
    pinned: set[int]
    keep_generations: int | None
    max_size: int | None
    death: int | None


HISTORIES = st.builds(
    History,
    shelf=st.lists(st.tuples(st.booleans(), st.integers(0, COUNT - 1)), max_size=5),
    leased=SOME,
    pinned=SOME,
    keep_generations=st.none() | st.integers(1, 2),
    max_size=st.none() | st.integers(0, 5000),
    death=st.none() | st.integers(0, 12),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a ledger, an empty catalog and six wheels."""
    place = tmp_path_factory.mktemp("template")
    for folder in ("home", "catalog/recipes", "catalog/toolchains", "common"):
        (place / folder).mkdir(parents=True)
    (place / "home" / ".farm").write_text('{"format": 1}')
    Ledger.open(place / "home" / "ledger.sqlite").close()
    for name in NAMES:
        make_wheel(place / "dist", name)
    return place


@contextlib.contextmanager
def killed_after(removals: int | None) -> Iterator[None]:
    """The process dies at one of its removals, or has no such luck."""
    left = itertools.count(10**9 if removals is None else removals, -1)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if "pins" not in path.parts and next(left) <= 0:
            raise Killed
        real(path, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(Path, "unlink", unlink)
        yield


def published(index: Index, dist: Path, history: History) -> None:
    for adds, number in history.shelf:
        if adds:
            index.publish("staging", [IndexFile(path=dist / NAMES[number])])
        elif (served := index.current("staging")) and NAMES[number] in [f.filename for f in index.files_in(served)]:
            index.remove("staging", [NAMES[number]])


@pytest.mark.parametrize("where", ["home", "shared"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES)
def test_what_is_needed_stays(where: str, history: History, template: Path, tmp_path: Path) -> None:
    place = tmp_path / "case"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place)
    home, common = place / "home", place / "common"
    index = Index(home / "index")
    published(index, place / "dist", history)
    store = Store(home / "store", shared=Shared(DirectoryRemote(common)))
    long_ago = time.time() - 30 * 86_400
    for name, key in zip(NAMES, KEYS, strict=True):
        store.put(key, place / "dist" / name)
        for pointer in (store.pointer_path(key), common / layout.record(key)):
            os.utime(pointer, (long_ago, long_ago))
    words = ["--home", str(home), "--catalog", str(place / "catalog"), "gc", "--json"]
    words += ["--keep-generations", str(history.keep_generations)] if history.keep_generations else []
    words += ["--max-size", str(history.max_size)] if history.max_size is not None else []
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(home / "ledger.sqlite"))
        for number in history.leased:
            ledger.lease(KEYS[number], ttl=600)
        stack.enter_context(store.pinned([KEYS[number] for number in history.pinned]))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("FARM_STORE", str(common))
        with killed_after(history.death):
            run([*words, *(["--shared"] if where == "shared" else [])])
        if where == "shared":
            age_marks(common)
            with killed_after(history.death):
                run([*words, "--shared"])
        seen = Store(home / "store") if where == "home" else Store(place / "reader", shared=store.shared)
        needed = {KEYS[number] for number in history.leased | history.pinned}
        served = index.live()
        needed |= {
            key for name, key in zip(NAMES, KEYS, strict=True) if files.file_sha256(place / "dist" / name) in served
        }
        for key in KEYS:
            artifact = seen.get(key)
            assert artifact is not None or key not in needed
            assert artifact is None or seen.verify(artifact)
        if history.death is None and history.keep_generations is None:
            assert {key for key in KEYS if seen.get(key)} == needed or (where == "shared" and not needed)


def age_marks(common: Path) -> None:
    """As if a day had passed."""
    if (common / layout.MARKS).exists():
        marks = json.loads((common / layout.MARKS).read_text())
        (common / layout.MARKS).write_text(json.dumps({name: since - 90_000 for name, since in marks.items()}))
