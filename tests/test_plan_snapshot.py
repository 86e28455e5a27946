"""Nothing to do is answered at once, and never wrongly."""

from __future__ import annotations

import marshal
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.plan import snapshot, snapshot_files

KEYS = ("aa" + "0" * 62, "ab" + "1" * 62)
OLD = 3_000_000_000  # ns


class Farm:
    """Inputs and a store with two artifacts; `save` pretends that all inputs are old."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.store = self.home / "store"
        self.catalog = root / "catalog"
        self.recipe = self.catalog / "recipes/a/recipe.toml"
        self.recipe.parent.mkdir(parents=True)
        self.recipe.write_text("one")
        self.missing = self.catalog / "recipes/a/patches"
        self.inputs = [self.catalog / "recipes", self.recipe.parent, self.recipe, self.missing]
        self.wheels = []
        for key in KEYS:
            pointer = self.store / "keys" / key[:2] / f"{key}.json"
            pointer.parent.mkdir(parents=True)
            pointer.write_text("{}")
            blob = self.store / "blobs" / f"{key[:2]}.whl"
            blob.parent.mkdir(exist_ok=True)
            blob.write_text("wheel")
            self.wheels.append((key, blob, 5))

    def save(self, request: str = "plan", *, started_ns: int | None = None, notes: tuple[str, ...] = ()) -> bool:
        return snapshot.save(
            self.home,
            request,
            started_ns=time.time_ns() + OLD if started_ns is None else started_ns,
            root=self.catalog,
            inputs=self.inputs,
            store=self.store,
            wheels=self.wheels,
            notes=notes,
        )

    def check(self, request: str = "plan") -> snapshot.Summary | None:
        return snapshot.check(self.home, request)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


def test_nothing_changed(farm: Farm) -> None:
    assert farm.check() is None
    assert farm.save(notes=("impossible: b",))
    found = farm.check()
    assert found is not None
    assert (found.steps, found.notes) == (2, ("impossible: b",))
    assert farm.check() is not None


def test_another_request_is_another_answer(farm: Farm) -> None:
    farm.save("plan a")
    assert farm.check("plan b") is None


def _same_size_and_mtime(farm: Farm) -> None:
    before = farm.recipe.stat()
    farm.recipe.write_text("two")
    os.utime(farm.recipe, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(farm: Farm) -> None:
    before = farm.recipe.stat()
    other = farm.recipe.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(farm.recipe)


def _a_folder_of_keys_gone(farm: Farm) -> None:
    shutil.rmtree(farm.store / "keys/ab")


CHANGES: list[Callable[[Farm], object]] = [
    lambda farm: farm.recipe.write_text("three"),
    _same_size_and_mtime,
    _replaced,
    lambda farm: farm.recipe.unlink(),
    lambda farm: (farm.recipe.parent / "new.patch").touch(),
    lambda farm: (farm.catalog / "recipes/b").mkdir(),
    lambda farm: farm.missing.mkdir(),
    lambda farm: (farm.store / "keys/aa" / f"{KEYS[0]}.json").unlink(),
    lambda farm: farm.wheels[0][1].unlink(),
    lambda farm: farm.wheels[1][1].write_text("cut"),
    _a_folder_of_keys_gone,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("settled", [False, True])
def test_every_change_is_seen(
    change: Callable[[Farm], object], settled: bool, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert farm.save()
    if settled:  # the stamps of the store's folders are trusted, as after some seconds
        with monkeypatch.context() as later:
            later.setattr(time, "time_ns", lambda: int(time.time() * 1e9) + 10_000_000_000)
            assert farm.check()
    time.sleep(0.02)  # longer than a tick of the kernel's clock
    change(farm)
    assert farm.check() is None


def test_more_artifacts_in_the_store_change_nothing(farm: Farm) -> None:
    farm.save()
    (farm.store / "keys/aa/other.json").touch()
    assert farm.check()


def test_inputs_that_changed_just_now_are_not_trusted(farm: Farm) -> None:
    """Another change within the same tick of the clock could not be seen."""
    assert not farm.save(started_ns=time.time_ns())
    assert farm.check() is None


def test_inputs_that_changed_while_they_were_read_are_not_trusted(farm: Farm) -> None:
    past = time.time_ns() - 60_000_000_000
    os.utime(farm.recipe, ns=(past, past))  # the mtime lies, the ctime does not
    assert not farm.save(started_ns=time.time_ns() - 1_000_000_000)


def test_store_folders_are_listed_until_their_stamps_are_old_enough(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.save()
    listed: list[str] = []
    real = os.listdir

    def listdir(path: str) -> list[str]:
        listed.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert farm.check()
    assert len(listed) == 2
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9) + 10_000_000_000)
    assert farm.check()  # lists once more and remembers
    listed.clear()
    assert farm.check()
    assert listed == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data.replace(b"farm-snapshot 1", b"farm-snapshot 2"),
        lambda data: b"\0" * len(data),
        lambda data: data.partition(b"\n")[0] + b"\n" + marshal.dumps(None),
    ],
)
def test_a_damaged_snapshot_is_ignored(spoil: Callable[[bytes], bytes], farm: Farm) -> None:
    farm.save()
    (path,) = (farm.home / "plan").iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    assert farm.check() is None
    assert farm.save()
    assert farm.check()


def test_a_well_formed_snapshot_of_something_else_is_ignored(farm: Farm) -> None:
    farm.save()
    (path,) = (farm.home / "plan").iterdir()
    for body in map(marshal.dumps, (None, (), ("plan", 1), ("plan", 1, (), "/", ("x", b"1"), "/", [], ("", b"")))):
        path.write_bytes(snapshot_files.head(body) + b"\n" + body)
        assert farm.check() is None


def test_the_farms_own_code_is_an_input(farm: Farm) -> None:
    assert any(path.endswith("farm/plan/snapshot.py") for path in snapshot._own_code())


def test_old_snapshots_are_removed(farm: Farm) -> None:
    for i in range(40):
        farm.save(f"plan {i}")
    assert len(list((farm.home / "plan").iterdir())) == 32
    snapshot.forget(farm.home)
    assert list((farm.home / "plan").iterdir()) == []
