"""The debug map of a Mach-O file goes, and nothing else: judged by our reader and by LLVM's."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
from test_binary_macho import ARM, INTEL, SOURCE, command, fat
from zig_fixtures import made

from farm.binary import macho, macho_signature
from farm.binary.functions import programs
from farm.binary.macho_file import MachoFile
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat
from farm.repair.strip_macho import without_debug_map

HIDDEN = "static int hidden(int a) { return a * 3; }\nint (*volatile pointer)(int) = hidden;\n"
TARGETS = pytest.mark.parametrize("target", [INTEL, ARM])


def with_map(target: str) -> bytes:
    """A library of an object file with debug information: the linker notes where it was."""
    link = ("cc", "-nostdlib", "-dynamiclib", "-Wl,-undefined,dynamic_lookup", "-install_name", "@rpath/t.dylib")
    commands = (("cc", "-g", "-c", "t.c", "-o", "t.o"), (*link, "t.o", "-lSystem", "-o", "t.dylib"))
    made_ = made(target, commands, (("t.c", SOURCE + HIDDEN),))["t.dylib"]
    assert b"/t.o\0" in made_
    return made_


def llvm(program: str, *words: str, data: bytes, tmp_path: Path) -> list[str]:
    (tmp_path / "t.dylib").write_bytes(data)
    done = subprocess.run(
        [program, *words, tmp_path / "t.dylib"], capture_output=True, text=True, check=True, timeout=60
    )
    assert not done.stderr
    return done.stdout.splitlines()


@TARGETS
def test_only_the_debug_map_goes(target: str) -> None:
    before = with_map(target)
    after = without_debug_map(before, "t.dylib")
    old, new = macho.read(before, "t.dylib"), macho.read(after, "t.dylib")
    assert (old.has_debug_info, new.has_debug_info) == (True, False)
    assert (new.exports, new.imports, new.needed, new.runpath) == (old.exports, old.imports, old.needed, old.runpath)
    (was,), (now,) = (programs(data, "t.dylib", BinaryFormat.MACHO) for data in (before, after))
    assert now.functions == was.functions
    assert "hidden" in {function.name for function in now.functions}
    assert b".o\0" not in after
    assert len(after) == len(before)
    assert without_debug_map(after, "t.dylib") is after


@TARGETS
def test_llvm_finds_what_it_found_before(target: str, tmp_path: Path) -> None:
    before = with_map(target)
    after = without_debug_map(before, "t.dylib")
    for words in (("llvm-nm", "--no-sort"), ("llvm-objdump", "--macho", "--indirect-symbols", "--exports-trie")):
        was, now = (llvm(*words, data=data, tmp_path=tmp_path) for data in (before, after))
        numbers = re.compile(r"(?<=^0x[0-9a-f]{16}) +\d+ ")  # of symbols, which are others now
        assert [numbers.sub(" ", line) for line in now] == [numbers.sub(" ", line) for line in was]
    assert not [line for line in llvm("llvm-nm", "-a", data=after, tmp_path=tmp_path) if " - " in line]


def test_the_signature_is_that_of_the_new_pages() -> None:
    after = without_debug_map(with_map(ARM), "t.dylib")
    pages = list(macho_signature.page_hashes(MachoFile(after, "t.dylib")))
    assert pages
    assert all(after[page.kept : page.kept + len(page.right)] == page.right for page in pages)


def test_every_slice_of_a_fat_file() -> None:
    after = without_debug_map(fat(with_map(INTEL), with_map(ARM)), "t.dylib")
    assert b".o\0" not in after
    assert not macho.read(after, "t.dylib").has_debug_info


@pytest.mark.parametrize(
    ("field", "value", "match"), [(1, 1 << 30, "groups"), (15, 3, "relocations"), (13, 1 << 30, "cut")]
)
def test_a_table_of_groups_that_lies(field: int, value: int, match: str) -> None:
    data = bytearray(with_map(INTEL))
    struct.pack_into("<I", data, command(bytes(data), 0xB) + 8 + 4 * field, value)
    with pytest.raises(BinaryFormatError, match=match):
        without_debug_map(bytes(data), "t.dylib")
