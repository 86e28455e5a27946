"""The entries of DWARF debug information: abbreviations, and the tree that is written with them.

Only what `farm.abi` needs beside libabigail: which members are bit fields, what functions take where they are defined,
and where atomic types are said.
Source: DWARF Debugging Information Format, versions 3 to 5, sections 7.5 (units, abbreviations, forms).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from farm.binary.elf_file import ElfFile

TAG_ATOMIC, TAG_VOLATILE = 0x47, 0x35
TAG_PARAMETER, TAG_MEMBER, TAG_FUNCTION_TYPE, TAG_FUNCTION = 0x05, 0x0D, 0x15, 0x2E
TAG_RECORDS = frozenset({0x02, 0x13, 0x17})  # class, structure, union

AT_NAME, AT_BYTE_SIZE, AT_BIT_OFFSET, AT_BIT_SIZE = 0x03, 0x0B, 0x0C, 0x0D
AT_MEMBER_LOCATION, AT_DATA_BIT_OFFSET, AT_STR_OFFSETS_BASE = 0x38, 0x6B, 0x72
AT_DECLARATION, AT_EXTERNAL, AT_TYPE = 0x3C, 0x3F, 0x49

_COMPRESSED = 0x800  # SHF_COMPRESSED
_IMPLICIT, _INDIRECT, _STRING, _STRP, _LINE_STRP = 0x21, 0x16, 0x08, 0x0E, 0x1F
_BYTES = {
    **dict.fromkeys((0x0B, 0x0C, 0x11, 0x25, 0x29), 1),  # data1 flag ref1 strx1 addrx1
    **dict.fromkeys((0x05, 0x12, 0x26, 0x2A), 2),  # data2 ref2 strx2 addrx2
    **dict.fromkeys((0x27, 0x2B), 3),  # strx3 addrx3
    **dict.fromkeys((0x06, 0x13, 0x1C, 0x28, 0x2C), 4),  # data4 ref4 ref_sup4 strx4 addrx4
    **dict.fromkeys((0x07, 0x14, 0x20, 0x24), 8),  # data8 ref8 ref_sig8 ref_sup8
    **dict.fromkeys((0x19, _IMPLICIT), 0),  # flag_present implicit_const
    0x1E: 16,  # data16
}
_OFFSETS = frozenset({_STRP, 0x10, 0x17, 0x1D, _LINE_STRP, 0x1F20, 0x1F21})  # into sections; ref_addr among them
# sdata udata ref_udata strx addrx loclistx rnglistx, and GNU's first forms of addrx and strx
_LEB = frozenset({0x0D, 0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02})
_BLOCKS = {0x0A: 1, 0x03: 2, 0x04: 4}  # the bytes of the length; of 0x09 and 0x18 it is a LEB128
_LEB_BLOCKS = frozenset({0x09, 0x18})
_STRX = frozenset({0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02})
_TYPE_UNITS, _SKELETONS = frozenset({2, 6}), frozenset({4, 5})


@dataclass(frozen=True, slots=True, kw_only=True)
class Abbreviation:
    """How entries of one kind are written: `attributes` are name, form and, of an implicit constant, its value."""

    tag: int
    tag_at: int
    has_children: bool
    attributes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the tree: how deep it lies, and its attributes of constant or text class."""

    depth: int
    tag: int
    values: Mapping[int, int | str]

    def number(self, name: int) -> int | None:
        """A constant; None if it is not given, or computed at run time."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None


def section(file: ElfFile, name: str) -> bytes:
    """The bytes of a section of debug information; none if there is no such section."""
    found = file.section(name)
    if (found is not None and found.flags & _COMPRESSED) or file.section(name.replace(".debug", ".zdebug")) is not None:
        raise file.error("has compressed debug information, which is not read: compile without -gz")
    return file.content(found) if found is not None else b""


def abbreviations(file: ElfFile, table: bytes, at: int = 0) -> tuple[dict[int, Abbreviation], int]:
    """The abbreviations of the table that begins at `at`, by their numbers, and where it ends."""
    found: dict[int, Abbreviation] = {}
    reader = Reader(file, table, at)
    while number := reader.leb():
        tag_at, tag, has_children = reader.at, reader.leb(), bool(reader.fixed(1))
        attributes = []
        while True:
            name, form = reader.leb(), reader.leb()
            implicit = reader.leb() if form == _IMPLICIT else 0
            if not (name or form):
                break
            attributes.append((name, form, implicit))
        found[number] = Abbreviation(tag=tag, tag_at=tag_at, has_children=has_children, attributes=tuple(attributes))
    return found, reader.at


class Reader:
    """Reads numbers one after the other; everything is little endian, as the farm's platforms are."""

    def __init__(self, file: ElfFile, data: bytes, at: int = 0) -> None:
        self.file, self.data, self.at = file, data, at

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        self.at += size
        if self.at > len(self.data):
            raise self.file.error("is cut short or lies: its debug information ends too early")

    def fixed(self, size: int) -> int:
        """A number of so many bytes."""
        self.skip(size)
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def leb(self) -> int:
        """An unsigned LEB128."""
        value = shift = 0
        while True:
            byte = self.fixed(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        """A text that ends with a zero."""
        start, end = self.at, self.data.find(b"\0", self.at)
        if end < 0:
            raise self.file.error("is cut short or lies: its debug information ends inside a text")
        self.at = end + 1
        return self.data[start:end].decode("utf-8", "backslashreplace")


class Tree:
    """The entries of all units of a file."""

    def __init__(self, file: ElfFile) -> None:
        self.file = file
        names = ("info", "abbrev", "str", "line_str", "str_offsets")
        self.info, self.abbrev, self.str, self.line_str, self.str_offsets = (
            section(file, f".debug_{name}") for name in names
        )
        self._tables: dict[int, dict[int, Abbreviation]] = {}

    def entries(self, tags: frozenset[int]) -> Iterator[Entry]:
        """The entries with one of some tags. Raises BinaryFormatError for debug information that is damaged."""
        reader = Reader(self.file, self.info)
        while reader.at < len(self.info):
            yield from _Unit(self, reader).entries(tags)

    def table(self, at: int) -> Mapping[int, Abbreviation]:
        """The abbreviations at an offset, which units may share."""
        if at not in self._tables:
            self._tables[at] = abbreviations(self.file, self.abbrev, at)[0]
        return self._tables[at]


class _Unit:
    """One unit: reads its header, then its entries."""

    def __init__(self, tree: Tree, reader: Reader) -> None:
        self.tree, self.reader = tree, reader
        length, self.offset_size = reader.fixed(4), 4
        if length == 0xFFFFFFFF:
            length, self.offset_size = reader.fixed(8), 8
        self.end = reader.at + length
        version = reader.fixed(2)
        if not 3 <= version <= 5:  # in version 2 places of members are little programs
            raise tree.file.error(f"has debug information of DWARF {version}, which is not read")
        kind = reader.fixed(1) if version == 5 else 0
        if version == 5:
            self.address_size = reader.fixed(1)
        self.table = tree.table(reader.fixed(self.offset_size))
        if version < 5:
            self.address_size = reader.fixed(1)
        reader.skip(8 + self.offset_size if kind in _TYPE_UNITS else 8 if kind in _SKELETONS else 0)
        self.strings_at = 2 * self.offset_size if version == 5 else 0  # behind the header of the offsets

    def entries(self, tags: frozenset[int]) -> Iterator[Entry]:
        reader, depth, first = self.reader, 0, True
        while reader.at < self.end:
            number = reader.leb()
            if not number:
                depth -= 1
                continue
            abbreviation = self.table.get(number)
            if abbreviation is None:
                raise self.tree.file.error(f"lies: its debug information uses abbreviation {number}, which it lacks")
            wanted = first or abbreviation.tag in tags
            values = self._values(abbreviation.attributes, wanted=wanted)
            if first:
                self.strings_at = int(values.get(AT_STR_OFFSETS_BASE, self.strings_at))
                first = False
            if abbreviation.tag in tags:
                yield Entry(depth=depth, tag=abbreviation.tag, values=values)
            depth += abbreviation.has_children
        reader.at = self.end

    def _values(self, attributes: Sequence[tuple[int, int, int]], *, wanted: bool) -> dict[int, int | str]:
        found: dict[int, int | str] = {}
        for name, form, implicit in attributes:
            value = self._value(form, implicit)
            if wanted and value is not None:
                found[name] = self._name(form, value) if name == AT_NAME and isinstance(value, int) else value
        return found

    def _value(self, form: int, implicit: int) -> int | str | None:
        """A number or text; None for a block."""
        reader = self.reader
        if (size := _BYTES.get(form)) is not None:
            return reader.fixed(size) if size else implicit
        if form in _OFFSETS:
            return reader.fixed(self.offset_size)
        if form in _LEB:
            return reader.leb()
        if form in _LEB_BLOCKS or form in _BLOCKS:
            reader.skip(reader.leb() if form in _LEB_BLOCKS else reader.fixed(_BLOCKS[form]))
            return None
        if form == _STRING:
            return reader.text()
        if form == 0x01:  # addr
            return reader.fixed(self.address_size)
        if form == _INDIRECT and (said := reader.leb()) != _INDIRECT:
            return self._value(said, 0)
        raise self.tree.file.error(f"has debug information with the form {form:#x}, which is not read")

    def _name(self, form: int, value: int) -> str:
        tree = self.tree
        if form in _STRX:
            at = self.strings_at + value * self.offset_size
            return Reader(tree.file, tree.str, Reader(tree.file, tree.str_offsets, at).fixed(self.offset_size)).text()
        return Reader(tree.file, tree.line_str if form == _LINE_STRP else tree.str, value).text()
