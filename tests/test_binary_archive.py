"""What a static archive defines is told for every object format and every kind of archive, and never believed."""

from __future__ import annotations

import random
import shutil
import struct
from pathlib import Path

import pytest
from zig_fixtures import LINUX, MACOS, WINDOWS, made

from farm.binary.archive_symbols import ArchiveSymbol, symbols
from farm.binary.pe_format import BIG_OBJECT_CLASS
from farm.errors import BinaryFormatError
from farm.process import run

SOURCE = """
extern int outside(int);
extern double far_data;
int table[7] = {1, 2, 3};
const char text[] = "hello";
int counter;
__thread int per_thread;
__attribute__((visibility("hidden"))) int hidden_one(int x) { return x + 1; }
__attribute__((weak)) int replaceable(void) { return 1; }
static __attribute__((noinline)) int local_one(int x) { return x * 3; }
double *where(void) { return &far_data; }
int work(int x) { return outside(x) + local_one(x) + hidden_one(table[x & 3]) + counter; }
"""
SECOND = "int a_function_in_a_second_object_with_a_long_name(int x) { return x + 1; } int work(int x) { return x; }"
FUNCTIONS = {"replaceable", "where", "work", "a_function_in_a_second_object_with_a_long_name"}
EXPECTED = {
    **dict.fromkeys(FUNCTIONS, "func"),
    **dict.fromkeys(("table", "text", "counter"), "data"),
    "per_thread": "tls",
}
UNDERSCORE = ("x86-windows-gnu", *MACOS)
LONG = "an_object_file_with_a_very_long_name.o"


def archives(target: str, *formats: str) -> dict[str, bytes]:
    """The same two objects in archives of several forms, by form; ``none`` has no index."""
    wanted: list[tuple[str, tuple[str, ...]]] = [
        (form, ("ar", f"--format={form}", "rcs", f"{form}.a")) for form in formats if form != "none"
    ]
    if "none" in formats:
        wanted.append(("none", ("ar", "rcS", "none.a")))
    commands = (
        ("cc", "-c", "-g0", "first.c", "-o", "first.o"),
        ("cc", "-c", "-g0", "second.c", "-o", LONG),
        *((*command, "first.o", LONG) for _, command in wanted),
    )
    found = made(target, commands, (("first.c", SOURCE), ("second.c", SECOND)))
    return {form: found[f"{form}.a"] for form, _ in wanted}


def kinds(path: Path) -> dict[str, str]:
    return {symbol.name: symbol.kind for symbol in symbols(path)}


@pytest.mark.parametrize("target", [*LINUX, *WINDOWS, *MACOS])
def test_functions_data_and_thread_local_symbols_are_told_apart(target: str, tmp_path: Path) -> None:
    path = tmp_path / "libt.a"
    expected = dict(EXPECTED)
    if target in WINDOWS:
        expected["hidden_one"] = "func"  # COFF has no visibility
    prefix = "_" if target in UNDERSCORE else ""
    for form, data in archives(target, "gnu", "bsd", "darwin", "coff", "none").items():
        path.write_bytes(data)
        assert kinds(path) == {prefix + name: kind for name, kind in expected.items()}, form


def test_names_are_sorted_and_come_once(tmp_path: Path) -> None:
    (tmp_path / "libt.a").write_bytes(archives(LINUX[0], "gnu")["gnu"])
    found = symbols(tmp_path / "libt.a")
    assert list(found) == sorted(found, key=lambda s: s.name)
    assert found.count(ArchiveSymbol(name="work", kind="func")) == 1


def test_hand_written_assembly_is_what_its_section_is(tmp_path: Path) -> None:
    text = ".text\n.globl code\ncode: ret\n.data\n.globl numbers\nnumbers: .long 1\n"
    commands = (("cc", "-c", "a.s", "-o", "a.o"), ("ar", "rcs", "t.a", "a.o"))
    for target in (LINUX[0], WINDOWS[0], MACOS[0]):
        (tmp_path / "t.a").write_bytes(made(target, commands, (("a.s", text),))["t.a"])
        assert kinds(tmp_path / "t.a") == {"code": "func", "numbers": "data"}


def test_bitcode_members_are_known_from_the_index(tmp_path: Path) -> None:
    commands = (("cc", "-c", "-flto", "a.c", "-o", "a.o"), ("ar", "rcs", "t.a", "a.o"))
    (tmp_path / "t.a").write_bytes(made(LINUX[0], commands, (("a.c", "int x; int f(void) { return 1; }"),))["t.a"])
    assert kinds(tmp_path / "t.a") == {"f": "other", "x": "other"}


def test_import_libraries_offer_functions_but_not_data(tmp_path: Path) -> None:
    definition = "LIBRARY t-nf1.dll\nEXPORTS\nwork\ntable DATA\n"
    commands = (("dlltool", "-m", "i386:x86-64", "-d", "t.def", "-l", "t.lib"),)
    (tmp_path / "t.lib").write_bytes(made(WINDOWS[0], commands, (("t.def", definition),))["t.lib"])
    found = kinds(tmp_path / "t.lib")
    assert found["work"] == "func"
    assert "table" not in found
    assert not [name for name in found if name.startswith("__imp_")]


def test_agrees_with_nm_on_the_compilers_own_library() -> None:
    path = Path("/usr/lib/gcc/x86_64-linux-gnu/12/libgcc.a")
    if not path.exists() or not shutil.which("nm"):
        pytest.skip("no libgcc.a where Debian 12 has it, or no nm")
    rows = [
        line.split() for line in run(["nm", "--extern-only", "--defined-only", "-P", str(path)]).output.splitlines()
    ]
    types = {row[0]: row[1] for row in rows if len(row) > 2}
    found = kinds(path)
    assert len(found) > 100
    assert found.keys() <= types.keys()
    assert {n for n, k in found.items() if k == "func"} == {n for n in found if types[n] in "TW"}


def test_big_coff_objects_are_read(tmp_path: Path) -> None:
    """Made by hand from a plain object: the form that compilers use for more than 65,000 sections."""
    plain = made(WINDOWS[0], (("cc", "-c", "-g0", "t.c", "-o", "t.o"),), (("t.c", SOURCE),))["t.o"]
    count, table, symbols_ = struct.unpack_from("<2xH4xII", plain)
    rows = [plain[table + 18 * n : table + 18 * n + 18] for n in range(symbols_)]
    wide, skip = [], 0
    for row in rows:  # section numbers have 4 bytes; auxiliary records are padded
        wide.append(
            row + bytes(2) if skip else row[:12] + struct.pack("<i", *struct.unpack_from("<h", row, 12)) + row[14:]
        )
        skip = skip - 1 if skip else row[17]
    header = struct.pack(
        "<HHHHI16sIIIIIII", 0, 0xFFFF, 2, 0x8664, 0, BIG_OBJECT_CLASS, 0, 0, 0, 0, count, 56 + 40 * count, symbols_
    )
    big = header + plain[20 : 20 + 40 * count] + b"".join(wide) + plain[table + 18 * symbols_ :]
    path = tmp_path / "t.a"
    path.write_bytes(b"!<arch>\n" + b"t.o/".ljust(48) + f"{len(big):<10}`\n".encode() + big)
    assert kinds(path)["work"] == "func"
    assert kinds(path).items() >= {"table": "data", "per_thread": "tls", "replaceable": "func"}.items()


def damaged(form: str) -> bytes:
    return archives({"gnu": LINUX[0], "coff": WINDOWS[1], "darwin": MACOS[1]}[form], form)[form]


def survives(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        symbols(path)
    except BinaryFormatError as error:
        assert error.where.startswith(str(path))  # noqa: PT017


@pytest.mark.parametrize("form", ["gnu", "coff", "darwin"])
def test_cut_and_flipped_archives_never_break_the_reader(form: str, tmp_path: Path) -> None:
    data, chance = damaged(form), random.Random(7)
    for cut in range(0, len(data), 31):
        survives(tmp_path / "t.a", data[:cut])
    for _ in range(150):
        wrong = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            value = chance.choice([b"\xff" * 4, b"\0" * 4, chance.randbytes(2), b"9999999999"])
            wrong[at : at + len(value)] = value[: len(data) - at]
        survives(tmp_path / "t.a", bytes(wrong))


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.a"
    for data, fact in (
        (b"INPUT(libt.so)\n", "is not a static archive"),
        (b"!<thin>\n", "thin archive"),
        (b"!<arch>\n" + b"t.o/".ljust(48) + b"99999     `\n", "cut short"),
        (b"!<arch>\n" + b"/".ljust(48) + b"8         `\n" + struct.pack(">II", 0xFFFFFFFF, 0), "index"),
    ):
        path.write_bytes(data)
        with pytest.raises(BinaryFormatError, match=fact):
            symbols(path)
    with pytest.raises(BinaryFormatError, match="cannot be read"):
        symbols(tmp_path / "none.a")
