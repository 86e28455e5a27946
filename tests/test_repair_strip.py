"""Debug information goes, and nothing else: the file loads, and its functions keep their names."""

from __future__ import annotations

import contextlib
import ctypes
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
import toy

from farm.binary import elf, formats
from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import functions_of
from farm.errors import BinaryFormatError
from farm.repair import natives
from farm.repair.options import RepairOptions
from farm.repair.repair import repair
from farm.repair.strip_elf import without_debug

SOURCE = """
static int hidden(int a) { return a * 3; }
int (*volatile pointer)(int) = hidden;
int shown(int a) { return pointer(a); }
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared object with debug information and a symbol table."""
    where = tmp_path_factory.mktemp("strip")
    (where / "t.c").write_text(SOURCE)
    command = ["gcc", "-shared", "-fPIC", "-O1", "-g", "-o", str(where / "t.so"), str(where / "t.c")]
    subprocess.run(command, check=True, timeout=60)
    return where / "t.so"


def test_only_debug_information_goes(tmp_path: Path, original: Path) -> None:
    before = original.read_bytes()
    after = without_debug(before, "t.so")
    old, new = elf.read(before, "t.so"), elf.read(after, "t.so")
    assert (old.has_debug_info, new.has_debug_info) == (True, False)
    assert (new.exports, new.imports, new.needed) == (old.exports, old.imports, old.needed)
    assert "hidden" in {f.name for f in functions_of(ElfFile(after, "t.so"))}
    assert functions_of(ElfFile(after, "t.so")) == functions_of(ElfFile(before, "t.so"))
    (tmp_path / "t.so").write_bytes(after)
    assert ctypes.CDLL(str(tmp_path / "t.so")).shown(14) == 42


def test_binutils_agree(tmp_path: Path, original: Path) -> None:
    (tmp_path / "ours.so").write_bytes(without_debug(original.read_bytes(), "t.so"))
    subprocess.run(["objcopy", "--strip-debug", original, tmp_path / "theirs.so"], check=True, timeout=60)
    ours, theirs = (
        subprocess.run(
            ["readelf", "-SsldW", tmp_path / name], capture_output=True, text=True, check=True, timeout=60
        ).stderr
        for name in ("ours.so", "theirs.so")
    )
    assert ours == theirs == ""
    names = [
        [section.name for section in ElfFile((tmp_path / name).read_bytes(), name).sections]
        for name in ("ours.so", "theirs.so")
    ]
    assert sorted(names[0]) == sorted(names[1])


def test_a_file_without_any_stays_as_it_is(original: Path) -> None:
    once = without_debug(original.read_bytes(), "t.so")
    assert without_debug(once, "t.so") is once


def test_object_files_and_damaged_files(tmp_path: Path, original: Path) -> None:
    (tmp_path / "t.c").write_text(SOURCE)
    subprocess.run(["gcc", "-c", "-g", "-o", tmp_path / "t.o", tmp_path / "t.c"], check=True, timeout=60)
    object_file = (tmp_path / "t.o").read_bytes()
    assert without_debug(object_file, "t.o") is object_file
    whole = original.read_bytes()
    for damage in range(0, len(whole), 97):
        data = bytearray(whole)
        data[damage] ^= 0xFF
        with contextlib.suppress(BinaryFormatError):
            assert len(without_debug(bytes(data), "t.so")) < 2 * len(whole)
        with contextlib.suppress(BinaryFormatError):
            without_debug(whole[:damage], "t.so")


def test_debug_information_among_what_is_loaded_is_refused(original: Path) -> None:
    data = bytearray(original.read_bytes())
    file = ElfFile(bytes(data), "t.so")
    (table,) = struct.unpack_from("<Q", data, 40)
    number = next(i for i, section in enumerate(file.sections) if section.is_debug)
    struct.pack_into("<Q", data, table + 64 * number + 24, 0)
    with pytest.raises(BinaryFormatError, match="has debug information before what is loaded"):
        without_debug(bytes(data), "t.so")


def test_names_of_sections_in_debug_information_are_refused(original: Path) -> None:
    data = bytearray(original.read_bytes())
    sections = ElfFile(bytes(data), "t.so").sections
    (table,) = struct.unpack_from("<Q", data, 40)
    (names,) = struct.unpack_from("<H", data, 62)
    number = next(i for i, section in enumerate(sections) if section.is_debug)
    header = bytes(data[table + 64 * names : table + 64 * names + 64])
    debug = struct.unpack_from("<I", data, table + 64 * number)[0]
    data[table + 64 * number : table + 64 * number + 64] = struct.pack("<I", debug) + header[4:]
    struct.pack_into("<H", data, 62, number)
    with pytest.raises(BinaryFormatError, match="keeps the names of its sections in its debug information"):
        without_debug(bytes(data), "t.so")


def test_repair_strips_when_it_is_asked_to(tmp_path: Path) -> None:
    base = toy.toy(tmp_path)
    wheel = toy.dependent(tmp_path, "toy_add(40, 2)", *toy.linked(base), "-g", strip=False)
    known = natives.load([base.wheel])
    found = {}
    for strip in (False, True):
        result = repair(wheel, tmp_path / f"out{strip}", known, RepairOptions(strip_debug=strip))
        with zipfile.ZipFile(result.wheel) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith(".so")]
            linkage = formats.read_bytes(archive.read(name), name)
        assert linkage is not None
        assert linkage.runpath == ("$ORIGIN/../native_toy/lib",)
        found[strip] = linkage.has_debug_info
    assert found == {False: True, True: False}
