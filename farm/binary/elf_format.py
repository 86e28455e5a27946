"""The ELF file format as tables: struct layouts, numbers and names.

Sources: System V gABI (chapters "Object Files" and "Program Loading and Dynamic Linking"), the GNU extensions in the
Linux Standard Base (symbol versions) and glibc's `elf.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from struct import Struct

MAGIC = b"\x7fELF"
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
FILE_TYPES = {ET_REL: "object file", ET_EXEC: "program", ET_DYN: "shared object"}

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_GNU_STACK = 1, 2, 3, 4, 0x6474E551
PF_X = 1
PN_XNUM = 0xFFFF
SHN_XINDEX = 0xFFFF

SHT_PROGBITS, SHT_SYMTAB, SHT_NOBITS, SHT_DYNSYM = 1, 2, 8, 11
SHF_ALLOC, SHF_EXECINSTR = 2, 4

DT_NEEDED, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ = 1, 5, 6, 7, 8
DT_HASH, DT_STRSZ, DT_SYMENT, DT_SONAME, DT_RPATH = 4, 10, 11, 14, 15
DT_REL, DT_RELSZ, DT_PLTREL, DT_TEXTREL, DT_JMPREL, DT_PLTRELSZ = 17, 18, 20, 22, 23, 2
DT_RUNPATH, DT_FLAGS = 29, 30
DT_GNU_HASH, DT_VERSYM, DT_FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFB
DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
DF_TEXTREL = 4
DF_1_PIE = 0x08000000

STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 0, 1, 2, 10
STV_DEFAULT, STV_PROTECTED = 0, 3
STT_FUNC, STT_GNU_IFUNC = 2, 10
SHN_ABS = 0xFFF1
VERSYM_HIDDEN = 0x8000
SYMBOL_KINDS = {1: "object", 2: "func", 5: "object", 6: "tls", 10: "ifunc"}

# e_machine -> architecture as wheel platform tags spell it (little endian unless a pair is given)
EM_386, EM_ARM, EM_X86_64, EM_S390 = 3, 40, 62, 22
MACHINES = {
    EM_386: ("i686", "i686"),
    8: ("mipsel", "mips"),
    20: ("ppcle", "ppc"),
    21: ("ppc64le", "ppc64"),
    EM_S390: ("s390x", "s390x"),
    EM_ARM: ("armv7l", "armv7b"),
    EM_X86_64: ("x86_64", "x86_64"),
    183: ("aarch64", "aarch64_be"),
    243: ("riscv64", "riscv64"),
    258: ("loongarch64", "loongarch64"),
}
# Without PT_GNU_STACK these give a process an executable stack (glibc, sysdeps/*/stackinfo.h: DEFAULT_STACK_PERMS).
EXEC_STACK_BY_DEFAULT = frozenset({EM_386, EM_X86_64, EM_ARM, EM_S390})


def _as_is(row: tuple[int, ...]) -> tuple[int, ...]:
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Struct layouts of one class (32 or 64 bit) and byte order.

    Fields come in the order of the 64-bit format; `segment_order` and `symbol_order` bring the 32-bit format's rows
    into it: segment = type flags offset vaddr paddr filesz memsz align; symbol = name info other shndx value size.
    """

    header: Struct
    segment: Struct
    section: Struct
    symbol: Struct
    dynamic: Struct
    rel: Struct
    rela: Struct
    symbol_shift: int  # r_info >> shift = symbol index
    word: Struct
    bloom_size: int
    segment_order: Callable[[tuple[int, ...]], tuple[int, ...]] = _as_is
    symbol_order: Callable[[tuple[int, ...]], tuple[int, ...]] = _as_is


def _layouts(order: str) -> dict[int, Layout]:
    word = Struct(order + "I")
    return {
        64: Layout(
            header=Struct(order + "16xHHIQQQIHHHHHH"),
            segment=Struct(order + "IIQQQQQQ"),
            section=Struct(order + "IIQQQQIIQQ"),
            symbol=Struct(order + "IBBHQQ"),
            dynamic=Struct(order + "QQ"),
            rel=Struct(order + "QQ"),
            rela=Struct(order + "QQQ"),
            symbol_shift=32,
            word=word,
            bloom_size=8,
        ),
        32: Layout(
            header=Struct(order + "16xHHIIIIIHHHHHH"),
            segment=Struct(order + "IIIIIIII"),
            section=Struct(order + "IIIIIIIIII"),
            symbol=Struct(order + "IIIBBH"),
            dynamic=Struct(order + "II"),
            rel=Struct(order + "II"),
            rela=Struct(order + "III"),
            symbol_shift=8,
            word=word,
            bloom_size=4,
            segment_order=itemgetter(0, 6, 1, 2, 3, 4, 5, 7),
            symbol_order=itemgetter(0, 3, 4, 5, 1, 2),
        ),
    }


# (bits, little endian) -> layout
LAYOUTS = {(bits, order == "<"): layout for order in "<>" for bits, layout in _layouts(order).items()}
# Version records have one layout in both classes.
VERNEED = {True: Struct("<HHIII"), False: Struct(">HHIII")}  # version, cnt, file, aux, next
VERNAUX = {True: Struct("<IHHII"), False: Struct(">IHHII")}  # hash, flags, other, name, next
VERDEF = {True: Struct("<HHHHIII"), False: Struct(">HHHHIII")}  # version, flags, ndx, cnt, hash, aux, next
VERDAUX = {True: Struct("<II"), False: Struct(">II")}  # name, next
VERSYM = {True: Struct("<H"), False: Struct(">H")}
VER_FLG_BASE = 1
