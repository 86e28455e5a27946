"""Wheels made by the farm: the same bytes everywhere, and what installers and `wheel` expect."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from wheel_factory import EPOCH, make_tree, make_wheel

from farm.errors import BinaryFormatError
from farm.process import run
from farm.wheel import record, zipwriter
from farm.wheel.archive import WheelArchive
from farm.wheel.pack import pack

NAME = "native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl"


def test_same_content_gives_same_bytes_whatever_the_machine_left_behind(tmp_path: Path) -> None:
    first = make_tree(tmp_path / "one", NAME)
    second = tmp_path / "elsewhere" / "two"
    for place in sorted((p for p in first.rglob("*") if p.is_file()), reverse=True):  # other creation order
        target = second / place.relative_to(first)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, target)
        os.utime(target, (1, 1))
        target.chmod(0o700 if os.access(place, os.X_OK) else 0o600)  # another umask
    (second / "native_gmp" / "empty").mkdir()
    (second / "native_gmp-10!6.3.0.dist-info" / "RECORD").write_text("an old one")
    a = pack(first, NAME, tmp_path / "a", epoch_seconds=EPOCH)
    b = pack(second, NAME, tmp_path / "b", epoch_seconds=EPOCH)
    assert a.read_bytes() == b.read_bytes()
    assert [place.name for place in (tmp_path / "a").iterdir()] == [NAME]


def test_order_times_and_modes(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, NAME)
    with zipfile.ZipFile(wheel) as archive:
        infos = archive.infolist()
        assert archive.testzip() is None
    names = [info.filename for info in infos]
    inside = [name for name in names if ".dist-info/" in name]
    assert names[-len(inside) :] == inside
    assert names[-1] == "native_gmp-10!6.3.0.dist-info/RECORD"
    assert names[: -len(inside)] == sorted(names[: -len(inside)])
    assert {info.date_time for info in infos} == {(2023, 11, 14, 22, 13, 20)}
    modes = {info.filename: info.external_attr >> 16 for info in infos}
    assert modes.pop("native_gmp/tool.sh") == 0o100755
    assert set(modes.values()) == {0o100644}


@pytest.mark.parametrize(("epoch", "expected"), [(0, (1980, 1, 1, 0, 0, 0)), (10**11, (2107, 12, 31, 23, 59, 58))])
def test_times_a_zip_cannot_hold_are_clamped(tmp_path: Path, epoch: int, expected: tuple[int, ...]) -> None:
    wheel = pack(make_tree(tmp_path / "t", NAME), NAME, tmp_path, epoch_seconds=epoch)
    with zipfile.ZipFile(wheel) as archive:
        assert archive.infolist()[0].date_time == expected


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="this Python has zlib-ng: the farm warns of it")
def test_this_machine_packs_like_the_reference() -> None:
    assert zipwriter.compressor() == zipwriter.REFERENCE_COMPRESSOR


def test_pip_installs_it_and_finds_its_files_whole(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "some_thing-1.0-py3-none-any.whl")
    target = tmp_path / "site"
    run([sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target", target, wheel],
        env=dict(os.environ))  # fmt: skip
    assert run([target / "some_thing" / "tool.sh"], env={}).output == "hello\n"
    with WheelArchive.open(wheel) as archive:
        assert (target / "some_thing/lib/data.bin").read_bytes() == archive.read("some_thing/lib/data.bin")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: (t / "native_gmp/lib/libgmp.so.10").symlink_to("libgmp.so"), "symbolic link"),
        (lambda t: (t / "native_gmp/lib2").symlink_to("lib", target_is_directory=True), "symbolic link"),
        (lambda t: os.mkfifo(t / "native_gmp/pipe"), "special file"),
        (lambda t: (t / "native_gmp/a\\b").touch(), "safe relative path"),
        (lambda t: (t / "native_gmp/a\nb").touch(), "safe relative path"),
        (lambda t: (t / "other-1.0.dist-info").mkdir() or (t / "other-1.0.dist-info/METADATA").touch(), "no other"),
        (
            lambda t: (t / "native_gmp-9.data").mkdir() or (t / "native_gmp-9.data/x").touch(),
            "native_gmp-10!6.3.0.data",
        ),
        (lambda t: (t / "native_gmp-10!6.3.0.dist-info/WHEEL").unlink(), "WHEEL"),
        (lambda t: (t / "native_gmp-10!6.3.0.dist-info/METADATA").unlink(), "METADATA"),
        (
            lambda t: (t / "native_gmp-10!6.3.0.dist-info/METADATA").write_text(
                "Metadata-Version: 2.4\nName: native-gmp\nVersion: 9!6.3.0\n"
            ),
            "version 9!6.3.0",
        ),
        (
            lambda t: (t / "native_gmp-10!6.3.0.dist-info/WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n"),
            "py3-none-any",
        ),
    ],
)
def test_trees_that_are_no_wheel_are_refused_and_leave_nothing(tmp_path: Path, spoil: object, message: str) -> None:
    tree = make_tree(tmp_path / "tree", NAME)
    spoil(tree)  # type: ignore[operator]
    with pytest.raises(BinaryFormatError, match=message):
        pack(tree, NAME, tmp_path / "out", epoch_seconds=EPOCH)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_record_names_every_member(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, NAME)
    entries = record.verify(wheel)
    with WheelArchive.open(wheel) as archive:
        assert set(entries) == set(archive.members)


@pytest.mark.parametrize(
    "filename",
    [
        "x.whl",
        "x-1.0-py3-none.whl",
        "x-1_0!-py3-none-any.whl",
        "../x-1.0-py3-none-any.whl",
        "x-1.0-build-py3-none-any.whl",
        "x-1.0-py3-none-any.zip",
    ],
)
def test_names_that_are_no_wheel_names_are_refused(tmp_path: Path, filename: str) -> None:
    with pytest.raises(BinaryFormatError):
        pack(tmp_path, filename, tmp_path, epoch_seconds=0)
