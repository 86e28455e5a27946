"""`farm gc` where no byte is free: what needs no ledger goes first, and makes the room that the ledger needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import catalog_builder as builder
import pytest
from disks import filled, small_disk

from farm import cli
from farm.store.artifacts import Store
from farm.store.home import prepare
from farm.store.ledger import Ledger


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a ledger on a disk of its own."""
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))
    builder.catalog(tmp_path, builder.library("gmp"))
    with small_disk(tmp_path / "disk", "4m") as disk:
        prepare(disk / "home")
        Store(disk / "home" / "store").prepare()
        Ledger.open(disk / "home" / "ledger.sqlite").close()
        yield disk


def gc(disk: Path, *more: str) -> int:
    return cli.run(["--catalog", str(disk.parent), "--home", str(disk / "home"), "gc", "--json", *more])


def name_of_the_dead(stem: str) -> str:
    """A temporary name of a process that has ended."""
    code = f"from farm.store.files import temporary_name; print(temporary_name({stem!r}), end='')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("place", ["work", "store/tmp", "index", "logs", ""])
def test_what_the_dead_left_makes_room_for_the_ledger(
    disk: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    left = disk / "home" / place / name_of_the_dead(".staging@000002")
    left.write_bytes(bytes(1 << 20))
    living = disk / "home" / "work" / "gmp@1.0-x"
    living.mkdir()
    with filled(disk):
        assert gc(disk) == 0
        removed = json.loads(capsys.readouterr().out)["removed"]
    assert [(row["name"], row["size"]) for row in removed] == [(left.name, 1 << 20)]
    assert not left.exists()
    assert living.is_dir()


def test_kept_workspaces_that_are_old_make_room_too(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = disk / "home" / "work" / "gmp@1.0-x"
    kept.mkdir()
    (kept / "object.o").write_bytes(bytes(1 << 20))
    os.utime(kept, (1, 1))
    with filled(disk):
        assert gc(disk) == 0
    assert not kept.exists()
    assert json.loads(capsys.readouterr().out)["freed"] >= 1 << 20


def test_where_nothing_can_go_it_says_what_to_do(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with filled(disk):
        assert gc(disk) == 9
    said = capsys.readouterr().err
    assert "no room" in said
    assert str(disk / "home" / "logs") in said


def test_a_dry_run_says_that_a_real_one_makes_room(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (disk / "home" / "work" / name_of_the_dead("gmp")).write_bytes(bytes(1 << 20))
    with filled(disk):
        assert gc(disk, "--dry-run") == 9
        assert "without --dry-run" in capsys.readouterr().err
        assert gc(disk) == 0
