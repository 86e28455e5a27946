"""The Mach-O reader tells the truth about thin and fat files and their signatures, and refuses damaged ones."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from damage import flipped
from zig_fixtures import MACOS, made

from farm.binary import formats, macho
from farm.binary import macho_format as numbers
from farm.binary.functions import programs
from farm.binary.macho_file import MachoFile
from farm.binary.macho_signature import signature_fault
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat, Linkage
from farm.process import run

INTEL, ARM = MACOS
OTHER = "double far_data = 1.5;\nint outside(int x) { return x + 1; }\n"
SOURCE = """
extern int outside(int);
extern double far_data;
extern int missing(void) __attribute__((weak_import));
int table[7] = {1, 2, 3};
int counter;
__thread int per_thread;
__attribute__((weak)) int replaceable(void) { return 1; }
__attribute__((visibility("hidden"))) int hidden_one(int x) { return x + 1; }
double *where(void) { return &far_data; }
int work(int x) { return outside(x) + hidden_one(table[x & 3]) + counter + per_thread + (missing ? 1 : 0); }
"""
_FUNCTION_STARTS = 0x26
NEEDED = ("/usr/lib/libSystem.B.dylib", "@rpath/libother-nf2.dylib")


def dylib(target: str, *flags: str, source: str = SOURCE, name: str = "libt-nf1.dylib") -> bytes:
    link = ("cc", "-g0", "-nostdlib", "-dynamiclib", "-Wl,-undefined,dynamic_lookup")
    commands = (
        (*link, "other.c", "-install_name", "@rpath/libother-nf2.dylib", "-o", "libother-nf2.dylib"),
        (
            *link,
            *("t.c", "libother-nf2.dylib", "-lSystem", "-install_name", f"@rpath/{name}"),
            *("-Wl,-rpath,@loader_path/../native_x/lib", *flags, "-o", name),
        ),
    )
    return made(target, commands, (("t.c", source), ("other.c", OTHER)))[name]


def fat(*slices: bytes, wide: bool = False) -> bytes:
    """A fat file of thin ones, each at a page of its own."""
    head, body = struct.pack(">4sI", bytes.fromhex("cafebabf" if wide else "cafebabe"), len(slices)), b""
    for data in slices:
        cpu, subtype = struct.unpack_from("<II", data, 4)
        place = 0x4000 + len(body)
        head += struct.pack(">IIQQII" if wide else ">IIIII", cpu, subtype, place, len(data), 14, *([0] * wide))
        body += data.ljust(-(-len(data) // 0x4000) * 0x4000, b"\0")
    return head.ljust(0x4000, b"\0") + body


def command(data: bytes, *types: int) -> int:
    """Where the first load command of a type begins."""
    found = MachoFile(data, "t.dylib").command(*types)
    assert found is not None
    return found.offset - 8


@pytest.mark.parametrize(("target", "arch", "floor"), [(INTEL, "x86_64", (10, 13)), (ARM, "arm64", (11, 0))])
def test_reads_names_needs_exports_and_imports(target: str, arch: str, floor: tuple[int, int]) -> None:
    linkage = macho.read(dylib(target), "t.dylib")
    assert (linkage.format, linkage.arch, linkage.bits) == (BinaryFormat.MACHO, arch, 64)
    assert linkage.soname == "@rpath/libt-nf1.dylib"
    assert linkage.needed == NEEDED
    assert linkage.runpath == ("@loader_path/../native_x/lib",)
    assert linkage.os_floor == floor
    assert linkage.signed is (arch == "arm64")  # what this linker does
    exports = {s.name: s for s in linkage.exports}
    assert {n: s.kind for n, s in exports.items() if not n.startswith("_")} == {
        "table": "object",
        "counter": "object",
        "per_thread": "tls",
        "replaceable": "func",
        "where": "func",
        "work": "func",
    }
    imports = {s.name: s for s in linkage.imports}
    assert (imports["outside"].library, imports["far_data"].library) == (NEEDED[1], NEEDED[1])
    assert imports["missing"].weak
    assert imports["missing"].library == ""
    assert not any((linkage.is_executable, linkage.has_debug_info, linkage.exec_stack, linkage.interpreter))


def test_programs_have_a_loader() -> None:
    commands = (("cc", "-g0", "-nostdlib", "t.c", "-lSystem", "-o", "t"),)
    program = macho.read(made(ARM, commands, (("t.c", "int main(void) { return 0; }"),))["t"], "t")
    assert (program.is_executable, program.soname, program.interpreter) == (True, "", "/usr/lib/dyld")


def test_exports_come_from_either_trie_or_the_symbol_table() -> None:
    """What newer and older linkers write, made from one file."""
    data = dylib(ARM)
    at = command(data, numbers.LC_DYLD_INFO_ONLY)
    offset, size = struct.unpack_from("<II", data, at + 40)
    newer = bytearray(data)
    struct.pack_into("<IIII", newer, at, numbers.LC_DYLD_EXPORTS_TRIE, 48, offset, size)
    assert macho.read(bytes(newer), "t").exports == macho.read(data, "t").exports
    older = bytearray(data)
    struct.pack_into("<II", older, at + 40, 0, 0)
    told = {(s.name, s.kind) for s in macho.read(data, "t").exports}
    assert told <= {(s.name, s.kind) for s in macho.read(bytes(older), "t").exports}


def test_the_lowest_system_comes_from_the_new_or_the_old_command() -> None:
    assert command(dylib(INTEL), numbers.LC_VERSION_MIN_MACOSX)
    assert command(dylib(ARM), numbers.LC_BUILD_VERSION)


def test_debug_information_and_its_map_are_seen() -> None:
    source = "int f(void) { return 1; }"
    commands = (("cc", "-g", "-nostdlib", "-dynamiclib", "t.c", "-o", "t.dylib"),)
    assert macho.read(made(ARM, commands, (("t.c", source),))["t.dylib"], "t").has_debug_info


def test_other_classes_and_byte_orders_are_read() -> None:
    """Made by hand: an empty library for 32-bit PowerPC and one for i386."""
    for order, cpu, arch in ((">", 18, "ppc"), ("<", 7, "i386")):
        data = struct.pack(order + "IIIIIII", 0xFEEDFACE, cpu, 0, numbers.MH_DYLIB, 0, 0, 0)
        linkage = formats.read_bytes(data, "old.dylib")
        assert linkage is not None
        assert (linkage.arch, linkage.bits, linkage.signed) == (arch, 32, False)


@pytest.mark.parametrize("wide", [False, True])
def test_a_fat_file_is_what_its_slices_have_in_common(wide: bool) -> None:
    intel, arm = dylib(INTEL), dylib(ARM)
    linkage = formats.read_bytes(fat(intel, arm, wide=wide), "t.dylib")
    first = macho.read(intel, "t.dylib")
    assert linkage == replace(first, arch="universal2", signed=True)  # arm64 is, and x86_64 need not be
    assert linkage.os_floor == (10, 13)  # arm64's 11.0 is no restriction for others


def test_slices_that_differ_are_reported() -> None:
    extra = dylib(ARM, source=SOURCE + "int only_here(void) { return 1; }", name="libt-nf2.dylib")
    linkage = macho.read(fat(dylib(INTEL), extra), "t.dylib")
    assert {d.rpartition(" in ")[2] for d in linkage.disagreements} == {"install name", "exports"}
    assert "only_here" not in {s.name for s in linkage.exports}


def test_fat_files_that_lie_are_refused() -> None:
    intel, arm = dylib(INTEL), dylib(ARM)
    with pytest.raises(BinaryFormatError, match="comes twice"):
        macho.read(fat(arm, arm), "t")
    wrong = bytearray(fat(intel, arm))
    struct.pack_into(">I", wrong, 8 + 20 + 8, 0x4000)
    with pytest.raises(BinaryFormatError, match="overlapping slices"):
        macho.read(bytes(wrong), "t")
    wrong = bytearray(fat(intel, arm))
    struct.pack_into(">I", wrong, 8, 18)
    with pytest.raises(BinaryFormatError, match="for ppc is for x86_64"):
        macho.read(bytes(wrong), "t")
    with pytest.raises(BinaryFormatError, match="a slice should be"):
        macho.read(fat(intel, arm)[:-0x8000], "t")


def test_a_good_signature_has_no_fault() -> None:
    assert signature_fault(dylib(ARM), "t.dylib") == ""
    assert signature_fault(dylib(INTEL), "t.dylib") == ""  # not signed: `Linkage.signed` says that
    assert signature_fault(fat(dylib(INTEL), dylib(ARM)), "t.dylib") == ""


def test_every_page_is_covered_by_the_signature() -> None:
    data = dylib(ARM)
    end = struct.unpack_from("<I", data, command(data, numbers.LC_CODE_SIGNATURE) + 8)[0]
    places = range(0x1000, end, 0x1000)  # not in the first page: its tables must stay readable
    for at in (*places, end - 1):
        wrong = bytearray(data)
        wrong[at] ^= 1
        fault = signature_fault(bytes(wrong), "t.dylib")
        assert "stale: 1 of" in fault
        page = int(fault.rpartition(" ")[2], 16)
        assert page <= at < page + 0x4000
    renamed = data.replace(b"@rpath/libt-nf1.dylib", b"@rpath/libu-nf1.dylib", 1)
    assert "stale" in signature_fault(renamed, "t.dylib")
    assert "(slice for arm64)" in signature_fault(fat(dylib(INTEL), renamed), "t.dylib")


def test_signatures_that_lie_are_faults_and_not_accidents() -> None:
    data = dylib(ARM)
    at = command(data, numbers.LC_CODE_SIGNATURE)
    start = struct.unpack_from("<I", data, at + 8)[0]
    for where, value, fault in (
        (start, b"\0\0\0\0", "no signature"),
        (start + 8, b"\xff\xff\xff\xff", "parts"),
        (start + 8, b"\0\0\0\0", "no code directory"),
        (start + 16, b"\xff\xff\xff\0", "cut short"),
        (at + 12, struct.pack("<I", 1 << 31), "cut short"),
        (at + 8, struct.pack("<I", start - 16), "begins with"),
    ):
        wrong = bytearray(data)
        wrong[where : where + len(value)] = value
        assert fault in signature_fault(bytes(wrong), "t.dylib"), fault


def test_flipped_bytes_never_break_the_signature_check() -> None:
    data, chance = dylib(ARM), random.Random(5)
    start = struct.unpack_from("<I", data, command(data, numbers.LC_CODE_SIGNATURE) + 8)[0]
    for _ in range(400):
        wrong = bytearray(data)
        where = chance.randrange(start, len(data))
        wrong[where : where + 4] = chance.choice([b"\xff" * 4, bytes(4), chance.randbytes(4)])[: len(data) - where]
        assert isinstance(signature_fault(bytes(wrong), "t.dylib"), str)


@pytest.mark.parametrize("target", MACOS)
def test_agrees_with_macholib(target: str, tmp_path: Path) -> None:
    macholib = pytest.importorskip(
        "macholib.MachO", reason="macholib is not installed (it comes with the judge delocate)"
    )
    path = tmp_path / "t.dylib"
    path.write_bytes(dylib(target))
    (theirs,) = macholib.MachO(str(path)).headers
    ours = macho.read(path.read_bytes(), "t.dylib")
    texts: dict[str, list[str]] = {}
    for load, _, text in theirs.commands:
        texts.setdefault(load.get_cmd_name(), []).append(
            bytes(text).rstrip(b"\0").decode() if isinstance(text, bytes) else ""
        )
    assert list(ours.needed) == texts["LC_LOAD_DYLIB"]
    assert [ours.soname] == texts["LC_ID_DYLIB"]
    assert list(ours.runpath) == texts["LC_RPATH"]
    assert ours.signed == ("LC_CODE_SIGNATURE" in texts)


LISTED = """
import json, sys
from delocate import tools
of = [tools._get_install_names, tools._get_install_ids, tools._get_rpaths]
print(json.dumps([next(iter(read(sys.argv[1]).values())) for read in of]))
"""


@pytest.mark.parametrize("target", MACOS)
def test_agrees_with_what_delocate_lists(target: str, tmp_path: Path) -> None:
    """What delocate-listdeps starts from. It asks otool, a program of macOS; LLVM's does, without the flag ``-m``."""
    pytest.importorskip("delocate", reason="the judge delocate is not installed")
    otool = next((p for p in map(shutil.which, ("llvm-otool", *(f"llvm-otool-{n}" for n in range(14, 23)))) if p), None)
    if otool is None:
        pytest.skip("no llvm-otool on this machine, which stands in for macOS's otool")
    (tmp_path / "otool").write_text(
        f'#!/bin/sh\nfor a do shift; [ "$a" = -m ] || set -- "$@" "$a"; done\nexec {otool} "$@"\n'
    )
    (tmp_path / "otool").chmod(0o755)
    path = tmp_path / "libt-nf1.dylib"
    path.write_bytes(dylib(target))
    places = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = run([sys.executable, "-c", LISTED, str(path)], cwd=tmp_path, env=places).output
    ours = macho.read(path.read_bytes(), "t.dylib")
    assert json.loads(said) == [list(ours.needed), ours.soname, list(ours.runpath)]


def test_all_ways_to_need_a_library_count() -> None:
    for kind in (numbers.LC_LOAD_WEAK_DYLIB, numbers.LC_REEXPORT_DYLIB, numbers.LC_LOAD_UPWARD_DYLIB):
        data = bytearray(dylib(INTEL))
        struct.pack_into("<I", data, command(bytes(data), numbers.LC_LOAD_DYLIB), kind)
        assert macho.read(bytes(data), "t").needed == NEEDED


@pytest.mark.parametrize("target", MACOS)
def test_agrees_with_nm(target: str, tmp_path: Path) -> None:
    if not shutil.which("llvm-nm"):
        pytest.skip("no llvm-nm on this machine")
    path = tmp_path / "t.dylib"
    path.write_bytes(dylib(target))
    rows = [line.split() for line in run(["llvm-nm", "--extern-only", "-P", str(path)]).output.splitlines()]
    ours = macho.read(path.read_bytes(), "t.dylib")
    assert {s.name for s in ours.imports} == {row[0].removeprefix("_") for row in rows if row[1] == "U"}
    told = {row[0].removeprefix("_") for row in rows if row[1] != "U"}
    assert {s.name for s in ours.exports} == told - {"hidden_one"}


def survives(data: bytes) -> Linkage | None:
    started = time.process_time()
    try:
        return formats.read_bytes(data, "fuzz.dylib")
    except BinaryFormatError as error:
        assert error.where.startswith("fuzz.dylib")  # noqa: PT017
        assert error.what  # noqa: PT017
    finally:
        assert time.process_time() - started < 5
    return None


def test_a_file_that_is_cut_anywhere_is_refused() -> None:
    data = dylib(INTEL)
    start = struct.unpack_from("<I", data, command(data, numbers.LC_DYLD_INFO_ONLY) + 8)[0]
    for cut in (*range(0, 0x800, 3), *range(start, len(data), 5)):
        assert survives(data[:cut]) is None


@pytest.mark.parametrize("kind", ["thin", "fat"])
def test_flipped_bytes_never_break_the_reader(kind: str) -> None:
    data = dylib(INTEL) if kind == "thin" else fat(dylib(INTEL), dylib(ARM))
    for wrong in flipped(data, copies=600, seed=3):
        survives(wrong)


def test_export_tries_that_go_in_circles_or_repeat_themselves_are_refused() -> None:
    data = dylib(INTEL)
    at = command(data, numbers.LC_DYLD_INFO_ONLY)
    circle = b"\0\1a\0\0"  # a node without an end, with one edge to itself
    long_edges = b"".join(
        b"\0\1" + b"x" * 100 + b"\0" + bytes([0x80 | n & 0x7F, n >> 7]) for n in range(105, 16000, 105)
    )
    for trie in (circle, long_edges):
        wrong = bytearray(data + trie)
        struct.pack_into("<II", wrong, at + 40, len(data), len(trie))
        started = time.process_time()
        with pytest.raises(BinaryFormatError, match="export trie"):
            macho.read(bytes(wrong), "t.dylib")
        assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("place", "value", "fact"),
    [
        (16, 0xFFFFFFFF, "load command"),
        (20, 0xFFFFFFFF, "the load commands"),
        (12, 77, "Mach-O type 77"),
        (36, 0, "load command of 0 bytes"),
    ],
)
def test_lying_headers_are_refused(place: int, value: int, fact: str) -> None:
    data = bytearray(dylib(INTEL))
    struct.pack_into("<I", data, place, value)
    with pytest.raises(BinaryFormatError, match=fact):
        macho.read(bytes(data), "t.dylib")


def test_a_lying_symbol_count_is_refused() -> None:
    data = bytearray(dylib(INTEL))
    struct.pack_into("<I", data, command(bytes(data), numbers.LC_SYMTAB) + 12, 0xFFFFFFFF)
    with pytest.raises(BinaryFormatError, match="the symbol table"):
        macho.read(bytes(data), "t.dylib")


def test_endless_numbers_in_the_starts_of_functions_are_refused_at_once() -> None:
    """As one number of 28 million bits they would take a night."""
    data = bytearray(dylib(INTEL))
    at = next(c.offset for c in MachoFile(bytes(data), "t").commands if c.type == _FUNCTION_STARTS)
    struct.pack_into("<II", data, at, len(data), 4 << 20)
    with pytest.raises(BinaryFormatError, match="more than 64 bits"):
        programs(bytes(data) + b"\xff" * (4 << 20), "t.dylib", BinaryFormat.MACHO)
