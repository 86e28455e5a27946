"""What libabigail does not read in debug information: how wide bit fields are, and atomic types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from farm.binary import dwarf
from farm.binary.elf_file import ElfFile

Places = Mapping[tuple[int, str, int], frozenset[int]]
"""Bit fields by the bytes of their struct, their name and their place in bits -> how many bits they have. Structs that
agree in all that may be several."""

_BYTE = 8


def bit_fields(data: bytes, name: str) -> Places:
    """The bit fields of all structs of an ELF file. Raises BinaryFormatError for debug information that is damaged or
    compressed."""
    found: dict[tuple[int, str, int], frozenset[int]] = {}
    sizes: dict[int, int] = {}
    for entry in dwarf.Tree(ElfFile(data, name)).entries(dwarf.TAG_RECORDS | {dwarf.TAG_MEMBER}):
        if entry.tag in dwarf.TAG_RECORDS:
            sizes[entry.depth] = entry.number(dwarf.AT_BYTE_SIZE) or 0
        elif width := entry.number(dwarf.AT_BIT_SIZE):
            place = (sizes.get(entry.depth - 1, 0), str(entry.values.get(dwarf.AT_NAME, "")), _offset(entry, width))
            found[place] = found.get(place, frozenset()) | {width}
    return found


def _offset(member: dwarf.Entry, width: int) -> int:
    """Where a bit field begins, in bits. Before DWARF 5 that is counted from the other end of what it is stored in."""
    whole = _BYTE * (member.number(dwarf.AT_MEMBER_LOCATION) or 0)
    from_end = member.number(dwarf.AT_BIT_OFFSET)
    if from_end is None:
        return whole + (member.number(dwarf.AT_DATA_BIT_OFFSET) or 0)
    return whole + _BYTE * (member.number(dwarf.AT_BYTE_SIZE) or 0) - from_end - width


def without_atomics(data: bytes, name: str) -> bytes:
    """The same file, in which atomic types are called volatile: libabigail leaves out members and parameters of types
    that it does not know. Raises BinaryFormatError for debug information that is damaged or compressed."""
    file = ElfFile(data, name)
    table = dwarf.section(file, ".debug_abbrev")
    places = []
    at = 0
    while at < len(table):
        known, at = dwarf.abbreviations(file, table, at)
        places += [each.tag_at for each in known.values() if each.tag == dwarf.TAG_ATOMIC]
    if not places:
        return data
    found = file.section(".debug_abbrev")
    assert found is not None
    changed = bytearray(data)
    for place in places:
        changed[found.offset + place] = dwarf.TAG_VOLATILE
    return bytes(changed)


def for_libabigail(file: Path, folder: Path) -> Path:
    """The file itself, or a copy in `folder` that libabigail reads in full."""
    data = file.read_bytes()
    changed = without_atomics(data, file.name)
    if changed is data:
        return file
    copy = folder / file.name
    copy.write_bytes(changed)
    return copy
