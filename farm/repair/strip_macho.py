"""Take the debug map out of a Mach-O file and leave all else as it is, the names of functions too.

The debug map is symbols (*stabs*) that say from which object files a linker took what, for `dsymutil`: paths of the
build machine, such as those of a C++ library that a compiler links in. The symbol table becomes shorter where it is,
the names that nobody else has are overwritten; not another byte moves. Sources: `mach-o/loader.h`, `mach-o/nlist.h`,
`mach-o/stab.h`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from struct import Struct

from farm.binary import macho_format as macho
from farm.binary.macho_fat import slices
from farm.binary.macho_file import Command, MachoFile
from farm.repair.patch_macho import renew_signature

_LC_DYSYMTAB = 0xB
# Fields of LC_DYSYMTAB: first and count of local, of defined and of undefined symbols; then tables, among them the
# indirect symbols and relocations that name symbols.
_GROUPS, _INDIRECT_AT, _INDIRECT_COUNT, _RELOCATIONS, _FIELDS = 6, 12, 13, (15, 17), 18
_NO_SYMBOL = 0xC0000000  # flags of an indirect symbol that is none: local, absolute


def without_debug_map(content: bytes, name: str) -> bytes:
    """The file without stabs, in every slice, its ad-hoc signature renewed; the same object if it has none.

    Raises BinaryFormatError if the file is damaged, if relocations name symbols by number, or if a certificate vouches
    for it.
    """
    data = bytearray(content)
    changed = [_strip(file) for file in slices(memoryview(data), name)]
    return bytes(data) if any(changed) else content


def _strip(file: MachoFile) -> bool:
    stabs = [bool(symbol.type & macho.N_STAB) for symbol in file.symbols]
    command = file.command(macho.LC_SYMTAB)
    if command is None or not any(stabs):
        return False
    at, count, strings_at, strings_size = file.fields(command, "symtab")
    size = file.layout.symbol.size
    rows = [bytes(file.data[at + n * size : at + (n + 1) * size]) for n in range(count)]
    kept = [row for row, stab in zip(rows, stabs, strict=True) if not stab]
    _renumber(file, stabs)
    _blank_names(file, strings_at, strings_size, [file.layout.symbol.unpack(row)[0] for row in kept])
    file.data[at : at + count * size] = b"".join(kept).ljust(count * size, b"\0")
    file.layout.symtab.pack_into(file.data, command.offset, at, len(kept), strings_at, strings_size)
    renew_signature(file)
    return True


def _renumber(file: MachoFile, stabs: Sequence[bool]) -> None:
    """Groups and indirect symbols by their new numbers; the stabs are among the local ones."""
    command = file.command(_LC_DYSYMTAB)
    if command is None:
        return
    layout = Struct(file.layout.word.format[:1] + "I" * _FIELDS)
    fields = list(_dysymtab(file, command, layout))
    if any(fields[number] for number in _RELOCATIONS):
        raise file.error("has relocations by numbers of symbols, so its debug map cannot be taken out")
    gone = [0, *accumulate(stabs)]  # how many stabs are before each number
    for first in range(0, _GROUPS, 2):
        start, count = fields[first], fields[first + 1]
        if start + count >= len(gone):
            raise file.error(f"lies: it groups {start + count} symbols and has {len(stabs)}")
        fields[first], fields[first + 1] = start - gone[start], count - (gone[start + count] - gone[start])
    at, count = fields[_INDIRECT_AT], fields[_INDIRECT_COUNT]
    for place, (number,) in enumerate(file.rows(file.layout.word, at, count, "the indirect symbols")):
        if not number & _NO_SYMBOL:
            if number >= len(stabs):
                raise file.error(f"lies: an indirect symbol is number {number} of {len(stabs)}")
            file.layout.word.pack_into(file.data, at + place * file.layout.word.size, number - gone[number])
    layout.pack_into(file.data, command.offset, *fields)


def _dysymtab(file: MachoFile, command: Command, layout: Struct) -> tuple[int, ...]:
    if command.size < layout.size:
        raise file.error(f"has a table of symbol groups of {command.size} bytes: too short")
    row: tuple[int, ...] = file.row(layout, command.offset, "the groups of symbols")
    return row


def _blank_names(file: MachoFile, at: int, size: int, used: Sequence[int]) -> None:
    """Overwrite the names that no symbol has; two symbols may share the end of one name."""
    names = bytes(file.span(at, size, "the string table"))
    result = bytearray(size)
    for start in set(used):
        end = names.find(b"\0", start)
        end = size if end < 0 else end
        result[start:end] = names[start:end]
    result[:1] = names[:1]  # by convention a space, so that no name is at 0
    file.data[at : at + size] = result
