"""The Mach-O file format as tables: struct layouts, numbers and names.

Sources: `mach-o/loader.h`, `mach-o/nlist.h`, `mach-o/fat.h` and `mach-o/stab.h` of Apple's cctools and xnu.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

# First four bytes -> (bits, little endian)
MAGICS = {
    bytes.fromhex("feedface"): (32, False),
    bytes.fromhex("feedfacf"): (64, False),
    bytes.fromhex("cefaedfe"): (32, True),
    bytes.fromhex("cffaedfe"): (64, True),
}
# First four bytes of a fat file -> layout of one slice: cputype, cpusubtype, offset, size, align
FAT_SLICES = {bytes.fromhex("cafebabe"): Struct(">IIIII"), bytes.fromhex("cafebabf"): Struct(">IIQQI4x")}
MOST_SLICES = 40  # a Java class has the same magic and at least 45 in the place of the count

MH_OBJECT, MH_EXECUTE, MH_DYLIB, MH_BUNDLE = 1, 2, 6, 8
FILE_TYPES = {MH_OBJECT: "object file", MH_EXECUTE: "program", MH_DYLIB: "shared library", MH_BUNDLE: "bundle"}
MH_TWOLEVEL, MH_ALLOW_STACK_EXECUTION = 0x80, 0x20000

# cputype -> architecture as wheel platform tags spell it
CPUS = {7: "i386", 0x01000007: "x86_64", 12: "armv7", 0x0100000C: "arm64", 18: "ppc", 0x01000012: "ppc64"}

LC_SEGMENT, LC_SEGMENT_64 = 0x1, 0x19
LC_SYMTAB, LC_LOAD_DYLINKER = 0x2, 0xE
LC_LOAD_DYLIB, LC_ID_DYLIB = 0xC, 0xD
LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB, LC_LAZY_LOAD_DYLIB, LC_LOAD_UPWARD_DYLIB = (
    0x80000018,
    0x8000001F,
    0x20,
    0x80000023,
)
LOADS = frozenset({LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB, LC_LAZY_LOAD_DYLIB, LC_LOAD_UPWARD_DYLIB})
LC_RPATH, LC_CODE_SIGNATURE = 0x8000001C, 0x1D
LC_DYLD_INFO, LC_DYLD_INFO_ONLY, LC_DYLD_EXPORTS_TRIE = 0x22, 0x80000022, 0x80000033
LC_VERSION_MIN_MACOSX, LC_BUILD_VERSION = 0x24, 0x32

N_STAB, N_PEXT, N_TYPE, N_EXT = 0xE0, 0x10, 0x0E, 0x01
N_UNDF, N_ABS, N_SECT, N_INDR = 0x0, 0x2, 0xE, 0xA
N_WEAK_REF, N_WEAK_DEF = 0x40, 0x80

SECTION_TYPE = 0xFF
S_ATTR_CODE = 0x80000000 | 0x400  # pure, some instructions
THREAD_LOCAL = frozenset({0x11, 0x12, 0x13, 0x14, 0x15})  # section types of thread-local data and its descriptors

EXPORT_KIND, EXPORT_TLS, EXPORT_ABSOLUTE = 0x3, 1, 2
EXPORT_WEAK, EXPORT_REEXPORT = 0x4, 0x8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Struct layouts of one class and byte order; the fields have one order in both classes.

    header = cputype filetype ncmds sizeofcmds flags; segment = name vmaddr vmsize fileoff filesize nsects;
    section = name segment addr size offset flags; symbol = name type section desc value; word, pair = one and two
    numbers; symtab = offset and count of symbols, offset and size of names; info_exports = offset and size of the
    export trie in LC_DYLD_INFO. Layouts of commands begin behind `cmd` and `cmdsize`.
    """

    header: Struct
    command: Struct
    segment: Struct
    section: Struct
    symbol: Struct
    word: Struct
    pair: Struct
    symtab: Struct
    info_exports: Struct


def _layout(bits: int, order: str) -> Layout:
    pointer, tail = ("Q", "4x") if bits == 64 else ("I", "")
    return Layout(
        header=Struct(f"{order}4xI4xIIII{tail}"),
        command=Struct(order + "II"),
        segment=Struct(f"{order}16s{pointer * 4}8xI4x"),
        section=Struct(f"{order}16s16s{pointer * 2}I12xI8x{tail}"),
        symbol=Struct(f"{order}IBBH{pointer}"),
        word=Struct(order + "I"),
        pair=Struct(order + "II"),
        symtab=Struct(order + "IIII"),
        info_exports=Struct(order + "32xII"),
    )


# (bits, little endian) -> layout
LAYOUTS = {(bits, order == "<"): _layout(bits, order) for order in "<>" for bits in (32, 64)}
