"""Take the debug information out of an ELF file and leave all else as it is, the names of functions too.

For debug information that nobody asked for, such as that of a C++ library which a compiler links in: a linker leaves it
away only together with the symbol table, by which the audit knows functions. Nothing that is loaded is touched; what
lies behind it moves. Source: System V gABI, chapters "ELF Header" and "Sections".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from farm.binary import elf_format as elf
from farm.binary.elf_file import ElfFile

_IDENT = 16
_SHOFF, _SHNUM, _SHSTRNDX = 5, 11, 12  # fields of the ELF header
_FLAGS, _OFFSET, _LINK, _ALIGNMENT = 2, 4, 6, 8  # fields of a section header
_LARGEST_ALIGNMENT = 4096  # of what is not loaded; more is a lie

_Row = tuple[int, ...]


def without_debug(content: bytes, name: str) -> bytes:
    """The file without its debug sections; the same object if it has none.

    Raises BinaryFormatError if the file is damaged, or if something that is loaded lies behind debug information.
    """
    file = ElfFile(content, name)
    if not file.segments:  # an object file: nothing is loaded of it, and it belongs into no wheel
        return content
    dropped = {number for number, section in enumerate(file.sections) if section.is_debug}
    if not dropped:
        return content
    header = list(file.layout.header.unpack_from(content))
    if not header[_SHNUM]:
        raise file.error("has more sections than its header can count, so they cannot be changed")
    if header[_SHSTRNDX] in dropped:
        raise file.error("lies: it keeps the names of its sections in its debug information")
    table_size = header[_SHNUM] * file.layout.section.size
    rows = list(file.layout.section.iter_unpack(content[header[_SHOFF] : header[_SHOFF] + table_size]))
    loaded = [number for number, row in enumerate(rows) if row[_FLAGS] & elf.SHF_ALLOC]
    end = max(file.layout.header.size, *(segment.offset + segment.size for segment in file.segments))
    # Symbols name their sections by number: those of what is loaded must stay.
    if max(loaded, default=0) > min(dropped) or min(rows[number][_OFFSET] for number in dropped) < end:
        raise file.error("has debug information before what is loaded, so it cannot be taken out")
    kept = [number for number in range(len(rows)) if number not in dropped]
    numbers = {number: new for new, number in enumerate(kept)}
    result = bytearray(content[:end])
    table = [_moved(rows[number], number in loaded, numbers, content, result) for number in kept]
    result += b"\0" * (-len(result) % 8)
    header[_SHOFF], header[_SHNUM], header[_SHSTRNDX] = len(result), len(kept), numbers[header[_SHSTRNDX]]
    result[_IDENT : file.layout.header.size] = file.layout.header.pack(*header)[_IDENT:]
    return bytes(result) + b"".join(file.layout.section.pack(*row) for row in table)


def _moved(row: _Row, loaded: bool, numbers: Mapping[int, int], content: bytes, result: bytearray) -> Sequence[int]:
    """A section's new header; what is not loaded is put behind what is there."""
    fields = list(row)
    fields[_LINK] = numbers.get(row[_LINK], 0)
    if loaded or not any(row):
        return fields
    result += b"\0" * (-len(result) % max(1, min(row[_ALIGNMENT], _LARGEST_ALIGNMENT)))
    fields[_OFFSET] = len(result)
    offset, size = row[_OFFSET], row[_OFFSET + 1]
    result += content[offset : offset + size]
    return fields
