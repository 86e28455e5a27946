"""Other names for symbols of real objects of every format: what they are, their sizes and what refers to them stays."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from damage import flipped
from zig_fixtures import LINUX, MACOS, WINDOWS, made

from farm.binary import archive_symbols, coff_object, elf_symbols, macho_symbols
from farm.binary.archive_file import Archive
from farm.binary.elf_file import ElfFile
from farm.binary.macho_file import MachoFile
from farm.build import rename_archive, rename_pe
from farm.build.rename import RENAMERS
from farm.build.rename_values import Names
from farm.errors import BinaryFormatError, BuildError

SOURCE = """
extern int toy_from_elsewhere(int);
int toy_table[7] = {1, 2, 3};
int toy_c;
__thread int toy_per_thread;
static int toy_local(int x) { return x * 3; }
__attribute__((visibility("hidden"))) int toy_hidden(int x) { return x + 1; }
__attribute__((weak)) int toy_weak(void) { return 1; }
int (*toy_pick(void))(int) { return toy_from_elsewhere; }
int toy_a(int x) { return toy_local(x) + toy_hidden(x) + toy_table[x] + toy_c + toy_from_elsewhere(x); }
"""
SECOND = """
int toy_a(int);
int another_with_a_long_name(int x) { return toy_a(x); }
"""
LONG = "an_object_file_with_a_very_long_name.o"
NAMES = ("toy_table", "toy_c", "toy_per_thread", "toy_weak", "toy_pick", "toy_a", "toy_from_elsewhere", "toy_local")
TARGETS = (*LINUX, *WINDOWS, *MACOS)
UNDERSCORE = ("x86-windows-gnu", *MACOS)
EXPECTED = {
    **dict.fromkeys(("p_toy_weak_s", "p_toy_pick_s", "p_toy_a_s", "another_with_a_long_name"), "func"),
    **dict.fromkeys(("p_toy_table_s", "p_toy_c_s"), "data"),
    "p_toy_per_thread_s": "tls",
}
READERS = {
    "elf": lambda data: list(elf_symbols.defined(ElfFile(data, "x"))),
    "pe": lambda data: list(coff_object.defined(data, "x")),
    "macho": lambda data: list(macho_symbols.defined(MachoFile(data, "x"))),
}


def binary(target: str) -> str:
    return "pe" if "windows" in target else "macho" if "macos" in target else "elf"


def underscore(target: str) -> str:
    return "_" if target in UNDERSCORE else ""


def names(target: str, *renamed: str) -> Names:
    before = underscore(target)
    found = {f"{before}{name}": f"{before}p_{name}_s" for name in renamed or NAMES}
    return Names(renamed=found, underscore=before)


def objects(target: str, *more: str) -> dict[str, bytes]:
    commands = (
        ("cc", "-c", "-g", *more, "first.c", "-o", "first.o"),
        ("cc", "-c", "-g0", *more, "second.c", "-o", LONG),
        ("ar", "rcs", "lib.a", "first.o", LONG),
        ("ar", "rcS", "none.a", "first.o", LONG),
        *((("ar", "--format=bsd", "rcs", "bsd.a", "first.o", LONG),) if binary(target) != "macho" else ()),
    )
    return made(target, commands, (("first.c", SOURCE), ("second.c", SECOND)))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["lib.a", "bsd.a", "none.a"])
def test_names_change_and_nothing_else(target: str, form: str, tmp_path: Path) -> None:
    content = objects(target).get(form)
    if content is None:
        return
    (tmp_path / "old.a").write_bytes(content)
    rename_archive.renamed(tmp_path / "old.a", tmp_path / "new.a", names(target), RENAMERS[binary(target)])
    before = underscore(target)
    found = {s.name.removeprefix(before): s.kind for s in archive_symbols.symbols(tmp_path / "new.a")}
    hidden = {"toy_hidden": "func"} if binary(target) == "pe" else {}  # COFF knows no visibility
    assert {name: kind for name, kind in found.items() if not name.startswith(".")} == {**EXPECTED, **hidden}
    old, new = (Archive((tmp_path / name).read_bytes(), name) for name in ("old.a", "new.a"))
    assert [member.name for member in new.members] == ["first.o", LONG]
    listed = [[name.removeprefix(before) for name in a.index.get(m.at, ())] for a in (old, new) for m in a.members]
    if form != "none.a":
        assert [name.replace("p_toy", "toy").replace("_s", "") for name in listed[2]] == [
            name.replace("_s", "") for name in listed[0]
        ]
        assert "p_toy_a_s" in listed[2]


@pytest.mark.parametrize("target", LINUX)
def test_kinds_sizes_and_sections_of_elf_symbols_stay(target: str) -> None:
    old = objects(target)["first.o"]
    new = RENAMERS["elf"].rename(memoryview(old), "x", names(target))
    tables = []
    for data in (old, new):
        file = ElfFile(data, "x")
        (table,) = (section for section in file.sections if section.name == ".symtab")
        tables.append(list(elf_symbols._rows(file, table)))
        assert [section.name for section in file.sections] == [section.name for section in ElfFile(old, "x").sections]
    assert [row[1:] for row in tables[0]] == [row[1:] for row in tables[1]]
    changed = {(a[0], b[0]) for a, b in zip(*tables, strict=True) if a[0] != b[0]}
    # A static function keeps its name: it is nobody else's.
    assert changed == {(name, f"p_{name}_s") for name in NAMES if name != "toy_local"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_name_that_another_symbol_has_is_refused(target: str) -> None:
    clashing = Names(renamed={f"{underscore(target)}toy_a": f"{underscore(target)}toy_from_elsewhere"})
    with pytest.raises(BuildError, match="toy_from_elsewhere, which another symbol gets"):
        RENAMERS[binary(target)].rename(memoryview(objects(target)["first.o"]), "x", clashing)


@pytest.mark.parametrize("target", TARGETS)
def test_a_static_symbol_may_have_the_new_name(target: str) -> None:
    """Nobody else sees it."""
    fine = Names(renamed={f"{underscore(target)}toy_a": f"{underscore(target)}toy_local"})
    RENAMERS[binary(target)].rename(memoryview(objects(target)["first.o"]), "x", fine)


@pytest.mark.parametrize("target", ["x86_64-linux-gnu.2.17", "x86-windows-gnu", "x86_64-macos.10.13"])
def test_damaged_objects_end_in_an_error(target: str) -> None:
    """Cut short anywhere, or with wrong bytes anywhere, an object is renamed or refused in words."""
    data, renamer, known = objects(target)["first.o"], RENAMERS[binary(target)], names(target)
    chance = random.Random(3)
    cut = [data[: chance.randrange(20, len(data))] for _ in range(200)]
    for wrong in (*cut, *flipped(data, copies=1500, seed=5)):
        if not renamer.fits(wrong[:4]):
            continue
        try:
            renamer.rename(memoryview(wrong), "x", known)
            list(renamer.exported(memoryview(wrong), "x"))
        except (BinaryFormatError, BuildError):
            pass


DIRECTIVES = """
__declspec(dllexport) int toy_a(int x) { return x; }
__declspec(dllexport) int toy_b = 4;
__declspec(dllimport) extern int toy_c;
int toy_calls(void) { return toy_c; }
"""


@pytest.mark.parametrize("target", WINDOWS)
def test_what_objects_tell_the_linker_has_the_new_names(target: str) -> None:
    data = made(target, (("cc", "-c", "-g0", "a.c", "-o", "a.o"),), (("a.c", DIRECTIVES),))["a.o"]
    assert set(rename_pe._exported(memoryview(data), "x")) == {"toy_a", "toy_b"}
    new = rename_pe.rename(memoryview(data), "x", names(target, "toy_a", "toy_b", "toy_c"))
    assert set(rename_pe._exported(memoryview(new), "x")) == {"p_toy_a_s", "p_toy_b_s"}
    # The slot of what is imported goes with its name.
    assert f"__imp_{underscore(target)}p_toy_c_s".encode() in new


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' -export:toy_a -export:"toy_a",data', ' -export:p_toy_a_s -export:"p_toy_a_s",data'),
        (' /EXPORT:toy_ab,DATA -aligncomm:"_toy_a",4', ' /EXPORT:toy_ab,DATA -aligncomm:"_p_toy_a_s",4'),
        (" -exclude-symbols:toy_a,other", " -exclude-symbols:p_toy_a_s,other"),
        (" /alternatename:_toy_b=_toy_a /defaultlib:toy_a", " /alternatename:_toy_b=_p_toy_a_s /defaultlib:toy_a"),
    ],
)
def test_words_to_the_linker(text: str, expected: str) -> None:
    known = names("x86-windows-gnu", "toy_a")
    assert rename_pe._WORD.sub(lambda word: rename_pe._renamed(word, known), text) == expected


def test_bitcode_is_refused(tmp_path: Path) -> None:
    """Link-time optimisation leaves members that are no objects; the archive's index still names their symbols."""
    bitcode = rename_archive._Made(name="a.o", content=b"BC\xc0\xde" + bytes(40), index=("toy_a",))
    (tmp_path / "old.a").write_bytes(rename_archive._archive([bitcode]))
    with pytest.raises(BuildError, match="is no object file of the platform"):
        rename_archive.renamed(tmp_path / "old.a", tmp_path / "new.a", names("x"), RENAMERS["elf"])


def test_a_short_import_object_keeps_its_name() -> None:
    """It stands for what another DLL has: if that is to be public under another name, it is refused."""
    text = b"toy_a\0other.dll\0"
    short = struct.pack("<HHHHIIHH", 0, 0xFFFF, 0, 0x8664, 0, len(text), 0, 4) + text
    assert rename_pe.rename(memoryview(short), "x", names("x", "toy_b")) == short
    with pytest.raises(BuildError, match=r"imports .*toy_a from another DLL"):
        rename_pe.rename(memoryview(short), "x", names("x", "toy_a"))
