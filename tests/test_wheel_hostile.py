"""Wheels that lie: each is refused with an error that names the wheel and the member."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from wheel_factory import make_wheel

from farm.errors import BinaryFormatError
from farm.wheel import record
from farm.wheel.archive import Limits, WheelArchive

NAME = "thing-1.0-py3-none-any.whl"
INFO = "thing-1.0.dist-info"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path, NAME)


def rezip(
    wheel: Path,
    folder: Path,
    *,
    add: dict[str, bytes] | None = None,
    drop: str = "",
    replace: dict[str, bytes] | None = None,
    info: Callable[[zipfile.ZipInfo], None] | None = None,
) -> Path:
    """A copy made by zipfile, with members changed but RECORD left as it was."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / wheel.name, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            if item.filename != drop:
                new.writestr(item.filename, (replace or {}).get(item.filename, old.read(item)))
        for name, content in (add or {}).items():
            extra = zipfile.ZipInfo(name)
            if info:
                info(extra)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                new.writestr(extra, content)
    return folder / wheel.name


def refused(path: Path, *words: str, limits: Limits | None = None) -> None:
    with pytest.raises(BinaryFormatError) as caught, WheelArchive.open(path, limits=limits) as archive:
        record.verify(archive)
    assert path.name in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "thing/../../evil",
        "/etc/evil",
        "thing//x",
        "./thing/x",
        "thing\\..\\evil",
        "C:/evil",
        "thing/\x01",
        "thing/..",
    ],
)
def test_names_that_leave_the_wheel(tmp_path: Path, wheel: Path, name: str) -> None:
    refused(rezip(wheel, tmp_path / "h", add={name: b""}), "safe relative path")


def test_name_with_nul(tmp_path: Path, wheel: Path) -> None:
    data = rezip(wheel, tmp_path / "h", add={"thing/evilXpy": b""}).read_bytes()
    (tmp_path / "h" / NAME).write_bytes(data.replace(b"thing/evilXpy", b"thing/evil\0py"))
    refused(tmp_path / "h" / NAME, "safe relative path")


def test_duplicate_member(tmp_path: Path, wheel: Path) -> None:
    refused(rezip(wheel, tmp_path / "h", add={"thing/__init__.py": b"evil"}), "thing/__init__.py", "twice")


def test_file_that_is_also_a_directory(tmp_path: Path, wheel: Path) -> None:
    refused(rezip(wheel, tmp_path / "h", add={"thing": b"evil"}), "'thing'", "file and a directory")


def test_symlink(tmp_path: Path, wheel: Path) -> None:
    def link(info: zipfile.ZipInfo) -> None:
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    refused(rezip(wheel, tmp_path / "h", add={"thing/link": b"/etc/passwd"}, info=link), "thing/link", "symbolic link")


def test_encrypted(tmp_path: Path, wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    wheel.write_bytes(data)
    refused(wheel, "encrypted")


def test_unknown_compression(tmp_path: Path, wheel: Path) -> None:
    (tmp_path / "h").mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(tmp_path / "h" / NAME, "w", zipfile.ZIP_LZMA) as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item))
    refused(tmp_path / "h" / NAME, "method 14")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 50, b"PK\5\6" + b"\0" * 18])
def test_not_a_wheel(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    refused(tmp_path / NAME)


def test_cut_short_anywhere(tmp_path: Path, wheel: Path) -> None:
    data = wheel.read_bytes()
    for length in [*range(0, len(data), 97), len(data) - 1]:
        wheel.write_bytes(data[:length])
        refused(wheel)


def test_any_flipped_byte_is_noticed(tmp_path: Path, wheel: Path) -> None:
    """Except where zip keeps facts that are not content: versions, times, modes."""
    data = wheel.read_bytes()
    original = {}
    with WheelArchive.open(wheel) as archive:
        original = {name: archive.read(name) for name in archive.members}
    noticed = 0
    for place in range(0, len(data), 13):
        wheel.write_bytes(data[:place] + bytes((data[place] ^ 0x15,)) + data[place + 1 :])
        try:
            record.verify(wheel)
            with WheelArchive.open(wheel) as archive:
                assert {name: archive.read(name) for name in archive.members} == original
        except BinaryFormatError:
            noticed += 1
    assert noticed > len(data) / 13 * 0.7


def test_bytes_before_between_and_after(tmp_path: Path, wheel: Path) -> None:
    data = wheel.read_bytes()
    for changed in (b"#!/bin/sh\n" + data, data + b"tail", data[:-2] + b"\4\0tail"):
        wheel.write_bytes(changed)
        refused(wheel)


def test_member_hidden_from_the_directory(tmp_path: Path, wheel: Path) -> None:
    """A stream reader would unpack it, a directory reader would not."""
    data = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        start = archive.start_dir
    name, content = b"thing/hidden.py", b"evil"
    hidden = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, len(content), len(content), len(name), 0)
    hidden += name + content
    end = bytearray(data[-22:])
    struct.pack_into("<L", end, 16, start + len(hidden))
    wheel.write_bytes(data[:start] + hidden + data[start:-22] + bytes(end))
    refused(wheel, "belong to no member")


def test_local_header_with_another_name(tmp_path: Path, wheel: Path) -> None:
    data = wheel.read_bytes()
    place = data.index(b"thing/__init__.py")  # the first is the local header's
    wheel.write_bytes(data[:place] + b"thing/__evil__.py" + data[place + 17 :])
    refused(wheel, "disagrees")


def test_declared_size_is_all_that_is_ever_unpacked(tmp_path: Path, wheel: Path) -> None:
    bomb = rezip(wheel, tmp_path / "h", add={"thing/zeros": b"\0" * 50_000_000}, info=_deflated)
    data = bytearray(bomb.read_bytes())
    for magic, offset, field in ((b"PK\3\4", 30, 22), (b"PK\1\2", 46, 24)):
        place = data.index(b"thing/zeros", data.index(magic)) if magic == b"PK\3\4" else data.rindex(b"thing/zeros")
        struct.pack_into("<L", data, place - offset + field, 1000)
    bomb.write_bytes(data)
    with WheelArchive.open(bomb) as archive, pytest.raises(BinaryFormatError, match="thing/zeros"):
        archive.read("thing/zeros")


def _deflated(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED


def test_zip_bomb(tmp_path: Path, wheel: Path) -> None:
    bomb = rezip(wheel, tmp_path / "h", add={"thing/zeros": b"\0" * 20_000_000}, info=_deflated)
    refused(bomb, "zip bomb", limits=Limits(ratio_from=1_000_000))
    refused(bomb, "zip bomb", limits=Limits(size=10_000_000))
    refused(bomb, "members", limits=Limits(members=3))


def test_record_lies(tmp_path: Path, wheel: Path) -> None:
    with WheelArchive.open(wheel) as archive:
        text = archive.read(f"{INFO}/RECORD").decode()
    init = next(line for line in text.splitlines() if line.startswith("thing/__init__.py"))
    digest = init.split(",")[1]

    def with_record(changed: str) -> Path:
        return rezip(wheel, tmp_path / "r", replace={f"{INFO}/RECORD": changed.encode()})

    refused(rezip(wheel, tmp_path / "a", add={"thing/extra.py": b"evil"}), "thing/extra.py", "not listed")
    refused(rezip(wheel, tmp_path / "b", drop="thing/lib/data.bin"), "thing/lib/data.bin", "not there")
    refused(rezip(wheel, tmp_path / "c", replace={"thing/__init__.py": b"y = 1\n"}), "thing/__init__.py", "hash")
    refused(rezip(wheel, tmp_path / "d", replace={"thing/__init__.py": b"y"}), "thing/__init__.py", "bytes")
    refused(rezip(wheel, tmp_path / "e", drop=f"{INFO}/RECORD"), "no RECORD")
    refused(with_record(text + init + "\n"), "thing/__init__.py", "twice")
    refused(with_record(text.replace(digest, "")), "thing/__init__.py", "no hash")
    refused(with_record(text.replace(digest, "md5=1B2M2Y8AsgTpgAmY7PhCfg")), "md5")
    refused(with_record(text.replace(digest, "sha256=!!!")), "base64")
    refused(with_record(text.replace(init, f"../evil,{digest},6")), "thing/__init__.py")
    refused(with_record(text + "a,b\n"), "malformed")
    refused(with_record(text.replace(",6\n", ",six\n", 1)), "malformed")
    refused(with_record(text.replace(",6\n", f",{'6' * 5000}\n", 1)), "malformed")


def test_dist_info_of_another_wheel(tmp_path: Path, wheel: Path) -> None:
    other = wheel.with_name("other-1.0-py3-none-any.whl")
    wheel.rename(other)
    refused(other, "belongs to another wheel")


def test_second_dist_info(tmp_path: Path, wheel: Path) -> None:
    refused(rezip(wheel, tmp_path / "h", add={"other-2.0.dist-info/METADATA": b""}), "exactly one")


def test_wheels_by_other_tools_are_fine(tmp_path: Path, wheel: Path) -> None:
    """Directory entries, data descriptors, other modes and times."""
    (tmp_path / "h").mkdir()
    target = tmp_path / "h" / NAME
    with zipfile.ZipFile(wheel) as old, target.open("wb") as stream:

        class Unseekable:
            def write(self, data: bytes) -> int:
                return stream.write(data)

            def flush(self) -> None:
                stream.flush()

        with zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as new:  # type: ignore[call-overload]
            new.writestr(zipfile.ZipInfo("thing/"), b"")
            for item in old.infolist():
                new.writestr(item.filename, old.read(item))
    assert b"PK\7\x08" in target.read_bytes()
    record.verify(target)
    with WheelArchive.open(target) as archive:
        archive.extract(tmp_path / "tree")
        assert (tmp_path / "tree/thing/__init__.py").read_bytes() == archive.read("thing/__init__.py")
