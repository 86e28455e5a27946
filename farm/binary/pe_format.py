"""The PE and COFF file formats as tables: struct layouts, numbers and names.

Source: "PE Format" in the Windows documentation (Microsoft Portable Executable and COFF Specification), `winnt.h`.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

# Machine -> (architecture as toolchain files spell it, bits)
MACHINES = {
    0x014C: ("i686", 32),
    0x8664: ("x86_64", 64),
    0xAA64: ("aarch64", 64),
    0x01C4: ("armv7l", 32),
    0xA641: ("arm64ec", 64),
    0xA64E: ("arm64x", 64),
}

DOS_HEADER = Struct("<2s58xI")  # magic, offset of the PE signature
FILE_HEADER = Struct("<HHIIIHH")  # machine, sections, time, symbol table, symbols, optional header size, flags
SECTION = Struct("<8sIIIIIIHHI")  # name, virtual size, address, raw size, raw offset, ..., flags at the end
DIRECTORY = Struct("<II")  # address, size
EXPORTS = Struct("<IIHHIIIIIII")  # flags time major minor name base functions names, then three tables
IMPORT = Struct("<IIIII")  # lookup table, time, forwarder chain, name, address table
DELAY_IMPORT = Struct("<IIIIIIII")  # attributes, name, module, addresses, names, bound, unload, time
DEBUG = Struct("<IIHHIIII")  # flags time major minor type size address offset
WORD, HALF = Struct("<I"), Struct("<H")

FILE_IS_DLL = 0x2000
SECTION_CODE, SECTION_EXECUTE = 0x20, 0x20000000
EXPORT_TABLE, IMPORT_TABLE, DEBUG_TABLE, DELAY_IMPORT_TABLE = 0, 1, 6, 13
CERTIFICATE_TABLE, BOUND_IMPORT_TABLE = 4, 11
CHECKSUM_AT = 64  # in the optional header of either width; 0 where the linker made none
DELAY_HAS_ADDRESSES = 1  # attribute: fields are relative to the image, as all linkers since 1998 write them
DEBUG_CODEVIEW = 2
CODEVIEW_PATH_AT = {b"RSDS": 24, b"NB10": 16}  # where the path of the PDB begins

# Bit of DllCharacteristics -> protection that the program asks Windows for
PROTECTIONS = {0x0020: "high-entropy-va", 0x0040: "aslr", 0x0100: "nx", 0x4000: "cfg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The optional header of one width.

    `optional` = magic, subsystem major, subsystem minor, image size, header size, DllCharacteristics, directories;
    `thunk` is one entry of an import table, `ordinal` the bit that says that it is a number.
    """

    bits: int
    optional: Struct
    thunk: Struct
    ordinal: int


# Magic of the optional header -> layout
LAYOUTS = {
    0x10B: Layout(
        bits=32,
        optional=Struct("<H46xHH4xII4x2xH20xI"),
        thunk=Struct("<I"),
        ordinal=1 << 31,
    ),
    0x20B: Layout(
        bits=64,
        optional=Struct("<H46xHH4xII4x2xH36xI"),
        thunk=Struct("<Q"),
        ordinal=1 << 63,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectLayout:
    """Layouts of one kind of COFF object.

    `header` gives section count, symbol table offset, symbol count and size of what follows it before the
    sections; `symbol` = name value section type class auxiliaries.
    """

    header: Struct
    symbol: Struct


COFF_OBJECT = ObjectLayout(header=Struct("<2xH4xIIH2x"), symbol=Struct("<8sIhHBB"))
BIG_OBJECT = ObjectLayout(header=Struct("<44xIII"), symbol=Struct("<8sIiHBB"))
IMPORT_OBJECT = Struct("<12xI2xH")  # size of what follows, type
NOT_PLAIN = b"\0\0\xff\xff"  # how big objects and import objects begin
BIG_OBJECT_CLASS = bytes.fromhex("c7a1bad1eebaa94baf20faf66aa4dcb8")
BIG_OBJECT_CLASS_AT = 12
IMPORT_TYPES = {0: "func", 1: "object", 2: "object"}

SYM_EXTERNAL, SYM_WEAK = 2, 105
