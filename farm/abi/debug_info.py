"""What libabigail does not read in debug information: how wide bit fields are, what a function takes where it is
defined if others declare it otherwise, and atomic types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from farm.binary import dwarf
from farm.binary.elf_file import ElfFile

Places = Mapping[tuple[int, str, int], frozenset[int]]
"""Bit fields by the bytes of their struct, their name and their place in bits -> how many bits they have. Structs that
agree in all that may be several."""

_BYTE = 8
_TAGS = dwarf.TAG_RECORDS | {dwarf.TAG_MEMBER, dwarf.TAG_FUNCTION, dwarf.TAG_FUNCTION_TYPE, dwarf.TAG_PARAMETER}


@dataclass(frozen=True, slots=True)
class Shape:
    """What can be said of a function without its types: whether it returns something, and how many arguments it has."""

    returns: bool
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`shapes` are those of public functions by their names in the sources, as they are defined. `headers` are the file
    names of the installed headers: what others define is private. None: nothing is."""

    bit_fields: Places = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    headers: frozenset[str] | None = None


def told(data: bytes, name: str) -> Told:
    """What the debug information of an ELF file says. Raises BinaryFormatError if it is damaged or compressed."""
    fields: dict[tuple[int, str, int], frozenset[int]] = {}
    shapes: dict[str, Shape] = {}
    sizes: dict[int, int] = {}
    function, inside = "", -1  # the definition that was met last, and how deep its parameters lie
    for entry in dwarf.Tree(ElfFile(data, name)).entries(_TAGS):
        if entry.tag in dwarf.TAG_RECORDS:
            sizes[entry.depth] = entry.number(dwarf.AT_BYTE_SIZE) or 0
        elif entry.tag == dwarf.TAG_FUNCTION:
            function, inside = _defined(entry), entry.depth + 1
            if function:
                shapes[function] = Shape(dwarf.AT_TYPE in entry.values, 0)
        elif entry.tag == dwarf.TAG_FUNCTION_TYPE:
            if entry.depth < inside:  # beside the definition: the parameters that follow are the type's
                function = ""
        elif entry.tag == dwarf.TAG_PARAMETER:
            if function and entry.depth == inside:
                shapes[function] = Shape(shapes[function].returns, shapes[function].parameters + 1)
        elif width := entry.number(dwarf.AT_BIT_SIZE):
            place = (sizes.get(entry.depth - 1, 0), str(entry.values.get(dwarf.AT_NAME, "")), _offset(entry, width))
            fields[place] = fields.get(place, frozenset()) | {width}
    return Told(bit_fields=fields, shapes=shapes)


def _defined(function: dwarf.Entry) -> str:
    """The name of a public function that this entry defines; empty if it only declares one."""
    values = function.values
    public = dwarf.AT_EXTERNAL in values and dwarf.AT_DECLARATION not in values
    return str(values.get(dwarf.AT_NAME, "")) if public else ""


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
