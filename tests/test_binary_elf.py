"""The ELF reader tells the truth about real files, and refuses damaged ones with the file's name and a fact."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from elf_fixtures import build, shared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.binary import elf, formats
from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import functions_of
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat, Linkage

LIBRARY = """
#include <math.h>
#include <stdlib.h>
extern int from_outside(void) __attribute__((weak));
__attribute__((weak)) int replaceable(void) { return 1; }
__attribute__((visibility("hidden"))) int hidden_one(int x) { return x + 1; }
static __attribute__((noinline)) int local_one(int x) { return x * 3; }
__thread int per_thread;
int table[7] = {1, 2, 3};
double work(double x) {
  void *volatile p = malloc(8);
  free(p);
  return sin(x) + hidden_one(3) + local_one((int)x) + (from_outside ? 1 : 0) + per_thread;
}
"""
VERSIONS = (("v.map", b"T_1.0 { global: work; table; }; T_2.0 { global: replaceable; per_thread; local: *; } T_1.0;"),)


def library(*flags: str, debug: bool = False) -> bytes:
    return shared(
        LIBRARY,
        "-lm",
        "-Wl,--version-script=v.map",
        "-Wl,-rpath,$ORIGIN/../native_x/lib:$ORIGIN",
        *flags,
        soname="libt-nf01.so",
        debug=debug,
        extra=VERSIONS,
    )


def without_sections(data: bytes) -> bytes:
    """The same file with its section headers cut off, as `sstrip` leaves it."""
    (start,) = struct.unpack_from("<Q", data, 40)
    patched = bytearray(data[:start])
    struct.pack_into("<Q", patched, 40, 0)
    struct.pack_into("<HHH", patched, 58, 0, 0, 0)
    return bytes(patched)


def exports(linkage: Linkage) -> dict[str, tuple[str, str]]:
    return {s.name: (s.version, s.kind) for s in linkage.exports}


def test_reads_names_paths_symbols_and_versions() -> None:
    linkage = elf.read(library(), "libt.so")
    assert (linkage.format, linkage.arch, linkage.bits) == (BinaryFormat.ELF, "x86_64", 64)
    assert linkage.soname == "libt-nf01.so"
    assert linkage.needed[:2] == ("libm.so.6", "libc.so.6")
    assert linkage.runpath == ("$ORIGIN/../native_x/lib", "$ORIGIN")
    assert linkage.rpath == ()
    assert exports(linkage) == {
        "work": ("T_1.0", "func"),
        "table": ("T_1.0", "object"),
        "replaceable": ("T_2.0", "func"),
        "per_thread": ("T_2.0", "tls"),
    }
    sizes = {s.name: s.size for s in linkage.exports}
    assert sizes["table"] == 28
    assert sizes["per_thread"] == 4
    assert next(s for s in linkage.exports if s.name == "replaceable").weak
    imports = {s.name: s for s in linkage.imports}
    assert (imports["malloc"].library, imports["malloc"].version) == ("libc.so.6", "GLIBC_2.2.5")
    assert imports["sin"].library == "libm.so.6"
    assert imports["from_outside"].weak
    assert linkage.version_needs["libm.so.6"] == ("GLIBC_2.2.5",)
    assert not any((linkage.exec_stack, linkage.text_relocations, linkage.has_debug_info, linkage.is_executable))


@pytest.mark.parametrize("hash_style", ["gnu", "sysv", "both"])
def test_section_headers_are_not_needed(hash_style: str) -> None:
    data = library(f"-Wl,--hash-style={hash_style}")
    assert elf.read(without_sections(data), "stripped") == elf.read(data, "whole")


def test_old_rpath_and_debug_information_are_seen() -> None:
    linkage = elf.read(library("-Wl,--disable-new-dtags", debug=True), "libt.so")
    assert linkage.rpath == ("$ORIGIN/../native_x/lib", "$ORIGIN")
    assert linkage.runpath == ()
    assert linkage.has_debug_info


def test_programs_have_an_interpreter() -> None:
    for flags in (("-pie", "-fPIE"), ("-no-pie", "-fno-pie")):
        linkage = elf.read(build("int main(void) { return 0; }", *flags, name="prog"), "prog")
        assert linkage.is_executable
        assert linkage.interpreter == "/lib64/ld-linux-x86-64.so.2"


def test_executable_stack() -> None:
    assert elf.read(shared("int f(void){return 1;}", "-Wl,-z,execstack"), "x").exec_stack


def test_no_stack_header_means_an_executable_stack_on_x86() -> None:
    data = bytearray(shared("int f(void){return 1;}"))
    offset, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    for index in range(count):
        if struct.unpack_from("<I", data, offset + 56 * index)[0] == 0x6474E551:
            struct.pack_into("<I", data, offset + 56 * index, 0)  # PT_NULL
    assert elf.read(bytes(data), "x").exec_stack


def test_text_relocations() -> None:
    source = 'int x; int *get(void); __asm__(".globl get\\nget: movabs $x, %rax\\nret");'
    assert elf.read(shared(source, "-Wl,-z,notext"), "x").text_relocations


def test_mapping_symbols_are_no_functions() -> None:
    extra = '__asm__(".text\\n$x.1:\\n.byte 0x90\\n$d:\\n.byte 0x90\\n$dollar_is_a_letter:\\n.byte 0x90\\n");'
    names = {f.name for f in functions_of(ElfFile(shared(f"{LIBRARY}\n{extra}", soname="t.so", debug=True), "x"))}
    assert {name for name in names if name.startswith("$")} == set()


def test_function_table_names_local_functions_of_an_unstripped_file() -> None:
    names = {f.name for f in functions_of(ElfFile(library(debug=True), "x"))}
    assert {"work", "local_one", "hidden_one"} <= names
    assert "table" not in names
    assert {f.name for f in functions_of(ElfFile(library(), "x"))} & {"work", "local_one"} == {"work"}


def test_agrees_with_the_c_library_of_this_machine() -> None:
    path = Path("/lib/x86_64-linux-gnu/libc.so.6")
    if not path.exists():
        pytest.skip("no glibc where Debian has it")
    linkage = elf.read(path.read_bytes(), "libc.so.6")
    assert linkage.soname == "libc.so.6"
    assert not linkage.is_executable
    assert {s.version for s in linkage.exports if s.name == "memcpy"} == {"GLIBC_2.2.5", "GLIBC_2.14"}
    assert not [s.name for s in linkage.exports if s.name.startswith("GLIBC_2")]


def test_foreign_class_and_byte_order() -> None:
    """A big-endian 32-bit file made by hand: header and one stack segment."""
    ident = b"\x7fELF\x01\x02\x01" + bytes(9)
    header = struct.pack(">HHIIIIIHHHHHH", 3, 20, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    segment = struct.pack(">IIIIIIII", 0x6474E551, 0, 0, 0, 0, 0, 7, 0)
    linkage = elf.read(ident + header + segment, "ppc.so")
    assert (linkage.arch, linkage.bits, linkage.exec_stack) == ("ppc", 32, True)


def test_ten_thousand_symbols_are_read_quickly() -> None:
    source = "\n".join(f"int some_library_function_number_{i}(void) {{ return {i}; }}" for i in range(10_000))
    data = shared(source)
    started = time.process_time()
    linkage = elf.read(data, "big.so")
    assert time.process_time() - started < 0.5  # 0.03 s on a 2020s machine
    assert len(linkage.exports) >= 10_000


@pytest.mark.parametrize("cut", [4, 20, 63, 64, 200, 1000, 4096, 9000])
def test_a_file_that_is_cut_short_says_so(cut: int) -> None:
    with pytest.raises(BinaryFormatError, match=r"cut\.so: .*(cut short|ends inside)"):
        elf.read(library()[:cut], "cut.so")


def test_overlapping_segments_are_refused() -> None:
    data = bytearray(library())
    offset, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    loads = [offset + 56 * i for i in range(count) if struct.unpack_from("<I", data, offset + 56 * i)[0] == 1]
    struct.pack_into("<Q", data, loads[1] + 16, struct.unpack_from("<Q", data, loads[0] + 16)[0])
    with pytest.raises(BinaryFormatError, match="overlapping segments"):
        elf.read(bytes(data), "x.so")


def test_a_lying_symbol_count_is_refused() -> None:
    data = bytearray(library("-Wl,--hash-style=sysv"))
    (section,) = [s for s in ElfFile(bytes(data), "x").sections if s.name == ".hash"]
    struct.pack_into("<I", data, section.offset + 4, 0xFFFFFFF0)
    with pytest.raises(BinaryFormatError, match="dynamic symbol table"):
        elf.read(bytes(data), "x.so")


def read_everything(data: bytes) -> None:
    """All that any gate asks of a file."""
    file = ElfFile(data, "fuzz.so")
    elf.linkage_of(file)
    file.code()
    functions_of(file)


def survives(data: bytes) -> None:
    try:
        read_everything(data)
    except BinaryFormatError as error:
        assert (error.where, bool(error.what)) == ("fuzz.so", True)  # noqa: PT017


fuzz = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
changes = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8)), min_size=1, max_size=6
)


@fuzz
@given(changes=changes, sections=st.booleans(), near=st.booleans())
def test_flipped_bytes_never_break_the_reader(changes: list[tuple[int, bytes]], sections: bool, near: bool) -> None:
    original = library(debug=True)
    data = bytearray(original if sections else without_sections(original))
    size = 0x700 if near else len(data)  # most tables lie in the first pages
    for at, value in changes:
        start = at % size
        data[start : start + len(value)] = value[: len(data) - start]
    survives(bytes(data))


@fuzz
@given(start=st.integers(0, 1 << 20), length=st.integers(0, 1 << 20))
def test_cut_out_pieces_never_break_the_reader(start: int, length: int) -> None:
    data = library(debug=True)
    start %= len(data)
    survives(data[:start] + data[start + length % len(data) :])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x7fELF\x02\x01", BinaryFormat.ELF),
        (b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0", BinaryFormat.PE),
        (bytes.fromhex("cffaedfe0c000001"), BinaryFormat.MACHO),
        (bytes.fromhex("cafebabe00000002"), BinaryFormat.MACHO),
        (bytes.fromhex("cafebabe00000034"), None),  # a Java class
        (b"MZ is how this text starts", None),
        (b"#!/bin/sh\n", None),
        (b"", None),
    ],
)
def test_formats_are_told_apart(head: bytes, expected: BinaryFormat | None) -> None:
    assert formats.detect(head) == expected
