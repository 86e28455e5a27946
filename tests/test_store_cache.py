"""A local store of bounded size, and the retention rules of `farm gc`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plans import digest

from farm.cli import run
from farm.errors import UsageError
from farm.model.job import NewJob
from farm.settings import load, parse_size
from farm.store import cache, pins
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.store.needs import catalogs_of_jobs
from farm.store.remote import layout
from farm.store.remote.directory import DirectoryRemote
from farm.store.shared import Shared
from farm.store.sweep import sweep_store

SIZE = 1000
NAME = "native_gmp-10!6.3.0-py3-none-any.whl"


@pytest.fixture
def common(tmp_path: Path) -> Path:
    place = tmp_path / "common"
    place.mkdir()
    return place


@pytest.fixture
def machine(tmp_path: Path, common: Path) -> Callable[..., Store]:
    def made(name: str, limit: int = 0) -> Store:
        return Store(tmp_path / name, shared=Shared(DirectoryRemote(common)), limit=limit)

    return made


def put(store: Store, tmp_path: Path, name: str) -> str:
    path = tmp_path / "dist" / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(name.encode().ljust(SIZE))
    store.put(digest(name), path)
    return digest(name)


def age(store: Store, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(store.pointer_path(key), (then, then))


def here(store: Store) -> set[str]:
    return {key for key in list(store.keys()) if Store(store.root).get(key)}


def test_the_least_recently_used_goes_first(tmp_path: Path, machine: Callable[..., Store]) -> None:
    store = machine("mine")
    a, b, c = (put(store, tmp_path, name) for name in "abc")
    for number, key in enumerate((a, b, c)):
        age(store, key, 1000 - number)
    small = machine("mine", limit=3 * SIZE)
    assert small.get(a), "is used, and so young again"
    d = put(small, tmp_path, "d")
    assert here(small) == {a, c, d}
    assert sum(path.stat().st_size for path in (tmp_path / "mine").glob("blobs/??/*/*")) == 3 * SIZE
    assert small.get(b), "comes back from the shared store"
    assert small.verify(small.get(b))  # type: ignore[arg-type]


def test_what_is_pinned_or_only_here_stays(tmp_path: Path, machine: Callable[..., Store], common: Path) -> None:
    store = machine("mine")
    pinned, lost, alone, free = (put(store, tmp_path, name) for name in ("pinned", "lost", "alone", "free"))
    for key in (pinned, lost, alone, free):
        age(store, key, 1000)
    store.mark_shared(store.get(alone), "s3://another/store")  # type: ignore[arg-type]
    (common / layout.record(lost)).unlink()
    (common / layout.record(alone)).unlink()
    small = machine("mine", limit=SIZE)
    with small.pinned([pinned]):
        new = put(small, tmp_path, "new")
    assert {pinned, lost, alone} <= here(small)
    assert free not in here(small)
    assert new not in here(small), "it is in the shared store, and there is no room"


def test_equal_content_under_two_keys(tmp_path: Path, machine: Callable[..., Store]) -> None:
    store = machine("mine")
    path = tmp_path / NAME
    path.write_bytes(b"x" * SIZE)
    for name in ("one", "two"):
        store.put(digest(name), path)
        age(store, digest(name), 1000)
    small = machine("mine", limit=1)
    with small.pinned([digest("one")]):
        put(small, tmp_path, "new")
        assert here(small) == {digest("one")}


def test_content_that_another_key_gets_meanwhile_stays(
    tmp_path: Path, machine: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine("mine")
    old = put(store, tmp_path, "content")
    age(store, old, 1000)
    forget = cache._forget

    def forget_slowly(*arguments: Any) -> bool:
        """Another process builds the same wheel under another key while room is made."""
        wheel = tmp_path / "again" / NAME
        wheel.parent.mkdir(exist_ok=True)
        wheel.write_bytes(b"content".ljust(SIZE))
        Store(store.root).put(digest("new"), wheel)
        return forget(*arguments)

    monkeypatch.setattr(cache, "_forget", forget_slowly)
    assert cache.trim(store, Shared(DirectoryRemote(tmp_path / "common")), 1) == 0
    assert here(store) == {digest("new")}


def test_a_file_that_its_writer_takes_away_does_not_stop_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    put(store, tmp_path, "a")
    (store.root / "tmp" / "half").touch()

    def taken_away(path: Path) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(pins, "is_alive", taken_away)
    assert not sweep_store(store, keep_keys=(), keep_sha256=(), keep_days=14.0, dry_run=False)


@pytest.mark.parametrize(
    ("text", "size"), [("20G", 20 * 10**9), ("1.5k", 1500), ("7", 7), ("3 MB", 3 * 10**6), ("2tb", 2 * 10**12)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "x") == size


@pytest.mark.parametrize("text", ["", "G", "-1", "20 apples", "1e9", "0x10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text, "FARM_CACHE_LIMIT")


def test_the_environment_limits_the_cache(tmp_path: Path) -> None:
    environ = {"FARM_HOME": str(tmp_path), "FARM_CACHE_LIMIT": "20G"}
    assert load(environ=environ).cache_limit == 20 * 10**9


def test_too_large_a_store_loses_its_oldest_young_wheels(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    keys = [put(store, tmp_path, name) for name in "abcd"]
    for number, key in enumerate(keys):
        age(store, key, 100 - number)
    kept = {keys[0]}
    rules = {"keep_keys": kept, "keep_sha256": (), "keep_days": 14.0}
    assert not sweep_store(store, **rules, dry_run=False)  # type: ignore[arg-type]
    shown = sweep_store(store, **rules, dry_run=True, max_size=2 * SIZE)  # type: ignore[arg-type]
    gone = sweep_store(store, **rules, dry_run=False, max_size=2 * SIZE)  # type: ignore[arg-type]
    assert [r.key for r in shown] == [r.key for r in gone] == keys[1:3]
    assert here(store) == {keys[0], keys[3]}


def test_gc_of_a_shared_store(
    tmp_path: Path, common: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line: refused where nothing is known, marked first, removed a grace period later."""
    for folder in ("catalog/recipes", "catalog/toolchains", "home", "other"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("home", "other"):
        (tmp_path / name / ".farm").write_text('{"format": 1}')
    monkeypatch.setenv("FARM_STORE", str(common))

    def gc(*options: str, home: str = "home", code: int = 0) -> str:
        words = ["--home", str(tmp_path / home), "--catalog", str(tmp_path / "catalog"), "gc", "--shared", *options]
        assert run(words) == code
        said = capsys.readouterr()
        return said.out or said.err

    store = Store(tmp_path / "home" / "store", shared=Shared(DirectoryRemote(common)))
    key = put(store, tmp_path, "old")
    assert "all of the shared store would go" in gc(code=9)
    with store.pinned([digest("needed")]):
        found = json.loads(gc("--keep-days", "0", "--json"))
        assert found == {"dry_run": False, "freed": 0, "removed": [], "waiting": 2}
        marks = json.loads((common / layout.MARKS).read_text())
        (common / layout.MARKS).write_text(json.dumps({name: since - 7200 for name, since in marks.items()}))
        shown = gc("--keep-days", "0", "--grace-hours", "1", "--dry-run")
        assert "would be freed" in shown
        assert (common / layout.record(key)).exists()
        assert "shared record" in gc("--keep-days", "0", "--grace-hours", "1")
        assert not (common / layout.record(key)).exists()
        assert (common / layout.MARKER).exists()
        assert store.get(key) is not None, "what is at home is another matter"
        with Store(tmp_path / "other" / "store").pinned([key]):
            assert "another farm collects" in gc(home="other", code=9)


def test_catalogs_of_open_jobs_are_needed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        order = json.dumps({"catalog": digest("catalog"), "step": "x"})
        job = NewJob(run="r", key=digest("k"), what="x", queue="q", payload=order, signature="", signer="")
        ledger.submit_jobs([job])
        assert catalogs_of_jobs(ledger) == {digest("catalog")}
        ledger.cancel_jobs("r")
        assert catalogs_of_jobs(ledger) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--shared",),
        ("--take-over",),
        ("--grace-hours", "0"),
        ("--grace-hours", "nan"),
        ("--keep-generations", "0"),
        ("--max-size", "big"),
    ],
)
def test_gc_refuses_what_makes_no_sense(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for folder in ("recipes", "toolchains"):
        (tmp_path / "catalog" / folder).mkdir(parents=True)
    try:
        code = run(["--home", str(tmp_path / "home"), "--catalog", str(tmp_path / "catalog"), "gc", *arguments])
    except SystemExit as refused:  # by the parser
        code = int(refused.code or 0)
    assert code == 2
