"""`farm gc --caches`: what no pins name and nobody uses goes; what somebody takes at that moment stays."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import catalog_builder as builder
import pytest

from farm import catalog, settings
from farm.build import cached
from farm.cli import run
from farm.fetch import download
from farm.settings import Settings
from farm.store import caches
from farm.store.caches import Cache
from farm.store.files import file_lock, file_sha256
from farm.store.keeping import keep, lock_of

SIZE = 1000
UNNAMED = "0123" * 16


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A farm with one recipe and one toolchain; its cache has what their pins name and as much that they do not."""
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    builder.catalog(tmp_path, builder.library("gmp"))
    at = settings.load(catalog=tmp_path, home=tmp_path / ".farm")
    at.home.mkdir()
    (at.home / ".farm").write_text('{"format": 1}')
    for cache in cached.caches([catalog.load(at)], at):
        for name in (*cache.named, "older-0123456789abcdef", "older-0123456789abcdef.warm"):
            fill(cache.place / name / "lib" / "file")
    for sha256 in (*cached.downloads([catalog.load(at)]), UNNAMED):
        fill(at.downloads / sha256 / "gmp-1.0.tar.xz")
    return at


def fill(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(SIZE))


def age(at: Settings) -> None:
    """As if nobody had used anything for a year."""
    for place in (*at.cache.glob("*/*"), *at.downloads.glob("*/*")):
        os.utime(place, (1, 1))


def gc(at: Settings, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["--catalog", str(at.catalog), "--home", str(at.home), "gc", "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def all_of(at: Settings) -> set[Path]:
    return {path for path in at.cache.rglob("*") if path.name in ("file", "gmp-1.0.tar.xz")}


def test_what_pins_do_not_name_goes_when_nobody_used_it(at: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    before = all_of(at)
    assert gc(at, capsys, "--caches", "--keep-days", "0")["removed"] == [], "somebody may use what is of today"
    age(at)
    assert gc(at, capsys)["removed"] == [], "other farms share the cache: only who says so touches it"
    every = set(at.cache.rglob("*"))
    planned = gc(at, capsys, "--caches", "--dry-run")
    assert set(at.cache.rglob("*")) == every
    done = gc(at, capsys, "--caches")
    assert done["removed"] == planned["removed"]
    assert done["freed"] == len(done["removed"]) * SIZE
    kinds = sorted(row["kind"] for row in done["removed"])
    assert kinds == sorted([*("toolchain", "Python SDK", "package set", "sysroot") * 2, "download"])
    gone = {path for path in before if "older" in str(path) or UNNAMED in str(path)}
    assert all_of(at) == before - gone
    assert gc(at, capsys, "--caches")["removed"] == []


def test_what_pins_name_goes_only_when_asked_for(at: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    age(at)
    gc(at, capsys, "--caches", "--unused-days", "1e6")
    assert all_of(at)
    gc(at, capsys, "--caches", "--unused-days", "90")
    assert not all_of(at)


def test_pins_of_frozen_catalogs_count(at: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    from farm.store import frozen

    frozen.freeze(at, at.catalog)
    (named,) = (cache.named for cache in cached.caches([catalog.load(at)], at) if cache.kind == "toolchain")
    builder.write_toolchain(
        at.catalog,
        {**builder.toolchain(), "compiler": {**builder.toolchain()["compiler"], "target": "x86_64-linux-gnu.2.18"}},
    )
    age(at)
    removed = {row["name"] for row in gc(at, capsys, "--caches")["removed"]}
    assert removed.isdisjoint(named)


def test_without_pins_nothing_is_removed(at: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    before = all_of(at)
    (at.recipes / "gmp" / "recipe.toml").write_text("name = 1")
    age(at)
    assert run(["--catalog", str(at.catalog), "--home", str(at.home), "gc", "--caches"]) == 3
    assert "gmp" in capsys.readouterr().err
    assert all_of(at) == before


@pytest.mark.parametrize("words", [["--unused-days", "9"], ["--caches", "--unused-days", "0.5"]])
def test_options_that_contradict_themselves(at: Settings, words: list[str]) -> None:
    assert run(["--catalog", str(at.catalog), "--home", str(at.home), "gc", *words]) == 2


def test_what_somebody_takes_at_that_moment_stays(tmp_path: Path) -> None:
    """Between the look whether it is there and the mark nobody removes it: what `keep` leaves is whole."""
    place = tmp_path / "sysroots" / "musl-0123"
    cache = Cache(kind="sysroot", place=place.parent, named=())
    fill(place / "file")
    lock_of(place).touch()
    os.utime(place, (1, 1))
    sweeps: list[threading.Thread] = []

    def is_whole() -> bool:
        there = (place / "file").is_file()
        sweeps.append(threading.Thread(target=lambda: caches.sweep(cache, keep_days=1, dry_run=False)))
        sweeps[-1].start()
        return there

    keep(place, is_whole, lambda: fill(place / "file"))
    for sweep in sweeps:
        sweep.join()
    assert (place / "file").is_file()


def test_what_is_removed_first_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "sysroots" / "musl-0123"
    fill(place / "file")
    os.utime(place, (1, 1))
    (removed,) = caches.sweep(Cache(kind="sysroot", place=place.parent, named=()), keep_days=1, dry_run=False)
    assert (removed.path, removed.size) == (place, SIZE)
    keep(place, (place / "file").is_file, lambda: fill(place / "file"))
    assert caches.sweep(Cache(kind="sysroot", place=place.parent, named=()), keep_days=1, dry_run=False) == []


def test_a_download_that_goes_leaves_its_lock_for_who_waits(tmp_path: Path) -> None:
    source, downloads = tmp_path / "gmp.tar.xz", tmp_path / "downloads"
    source.write_bytes(b"gmp")
    sha256 = file_sha256(source)
    file = download.fetch(source.as_uri(), sha256, source.name, downloads)
    os.utime(file, (1, 1))
    assert download.cached(downloads, sha256) == file, "a look is a use"
    assert caches.sweep_downloads(downloads, named=(), keep_days=1, dry_run=False) == []
    os.utime(file, (1, 1))
    with file_lock(file.parent / ".lock"):
        assert download.cached(downloads, sha256) is None, "somebody fetches or removes it"
    (removed,) = caches.sweep_downloads(downloads, named=(), keep_days=1, dry_run=False)
    assert (removed.name, removed.size) == ("gmp.tar.xz", 3)
    assert [path.name for path in file.parent.iterdir()] == [".lock"]
    assert download.fetch(source.as_uri(), sha256, source.name, downloads).read_bytes() == b"gmp"
