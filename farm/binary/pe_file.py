"""A PE file's frame: headers, sections, directories, and the map from addresses to bytes. Nothing in it is believed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from farm.binary import pe_format as pe
from farm.binary.bounded import Bounded

_LONGEST_NAME = 1 << 16  # what linkers and loaders take is far below
_SMALL_TABLE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section: `memory_size` bytes at `address` (relative to the image), of which `size` lie in the file."""

    name: str
    address: int
    memory_size: int
    offset: int
    size: int
    flags: int

    @property
    def is_code(self) -> bool:
        """True if it holds code or may be executed."""
        return bool(self.flags & (pe.SECTION_CODE | pe.SECTION_EXECUTE))


class PeFile(Bounded):
    """The frame of one PE image (PE32 and PE32+). All addresses are relative to the image's base.

    Raises BinaryFormatError from the constructor and from every property if the file is damaged.
    """

    fix = "build or fetch the file again; `llvm-readobj --coff-imports --coff-exports` may show more"

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        super().__init__(data, name)
        magic, at = self.row(pe.DOS_HEADER, 0, "the DOS header")
        if magic != b"MZ" or bytes(self.span(at, 4, "the PE signature")) != b"PE\0\0":
            raise self.error("is not a PE file")
        header_at = at + 4
        header = self.row(pe.FILE_HEADER, header_at, "the PE header")
        self.machine, self._section_count, _, self._symbols_at, self._symbol_count, size, self.flags = header
        self._optional_at = header_at + pe.FILE_HEADER.size
        self._sections_at = self._optional_at + size
        (kind,) = self.row(pe.HALF, self._optional_at, "the optional header")
        if kind not in pe.LAYOUTS:
            raise self.error(f"has an optional header of kind {kind:#x}, which is neither PE32 nor PE32+")
        self.layout = pe.LAYOUTS[kind]
        optional = self.row(self.layout.optional, self._optional_at, "the optional header")
        _, major, minor, self.image_size, self._header_size, self.characteristics, self._directory_count = optional
        self.subsystem_version = (major, minor)
        self.bits = self.layout.bits
        self._budget = 4 * len(self.data) + _SMALL_TABLE
        if pe.MACHINES.get(self.machine, ("", self.bits))[1] != self.bits:
            raise self.error(f"lies: machine {self.machine:#x} has no {self.bits}-bit programs")
        room = size - self.layout.optional.size
        if self._directory_count * pe.DIRECTORY.size > room:
            raise self.error(f"lies: its optional header of {size} bytes has {self._directory_count} directories")

    @property
    def arch(self) -> str:
        """Architecture as toolchain files spell it; ``pe-machine-N`` if there is no name for it."""
        return pe.MACHINES.get(self.machine, (f"pe-machine-{self.machine:#x}", 0))[0]

    @property
    def checksum_at(self) -> int:
        """The file offset of the image's checksum, which is 0 where the linker made none."""
        return int(self._optional_at + pe.CHECKSUM_AT)

    def directory(self, index: int) -> tuple[int, int]:
        """Address and size of a data directory; (0, 0) if the file does not have it."""
        if index >= self._directory_count:
            return 0, 0
        at = self._optional_at + self.layout.optional.size + index * pe.DIRECTORY.size
        address, size = self.row(pe.DIRECTORY, at, "a data directory")
        return address, size

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections by address; they must not overlap."""
        rows = self.rows(pe.SECTION, self._sections_at, self._section_count, "the section table")
        found = sorted((self._section(row) for row in rows), key=lambda s: s.address)
        for low, high in pairwise(found):
            if low.address + low.memory_size > high.address:
                raise self.error(f"has overlapping sections {low.name} and {high.name}")
        return tuple(found)

    def _section(self, row: tuple[Any, ...]) -> Section:
        name, memory_size, address, size, offset, *_, flags = row
        if size:
            self.span(offset, size, "a section")
        return Section(
            name=self._section_name(name.rstrip(b"\0")),
            address=address,
            memory_size=memory_size or size,
            offset=offset,
            size=min(size, memory_size or size),
            flags=flags,
        )

    def _section_name(self, raw: bytes) -> str:
        """MinGW's linkers keep names of more than 8 bytes (``.debug_info``) in a string table behind the symbols."""
        if raw[:1] == b"/" and raw[1:].isdigit() and self._symbols_at:
            table = self._symbols_at + self._symbol_count * pe.COFF_OBJECT.symbol.size
            return self.string(table + int(raw[1:]), len(self.data), "a section name")
        return raw.decode("utf-8", "backslashreplace")

    @cached_property
    def _starts(self) -> list[int]:
        return [section.address for section in self.sections]

    def section_at(self, address: int) -> Section | None:
        """The section that holds an address."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address - self.sections[at].address >= self.sections[at].memory_size:
            return None
        return self.sections[at]

    def extent(self, address: int, what: str) -> tuple[int, int]:
        """The file offsets of an address and of the end of the bytes that follow it in its section."""
        section = self.section_at(address)
        if section is not None and address - section.address < section.size:
            return section.offset + address - section.address, section.offset + section.size
        if address < min(self._header_size, len(self.data)) and section is None:
            return address, min(self._header_size, len(self.data))
        raise self.error(f"places {what} at address {address:#x}, where no section has bytes of the file")

    def mapped(self, address: int, size: int, what: str) -> memoryview:
        """`size` bytes at an address, all from one section."""
        if size == 0:
            return self.data[:0]
        offset, end = self.extent(address, what)
        if offset + size > end:
            raise self.error(f"lies: {what} at {address:#x} of {size} bytes leaves its section")
        return self.span(offset, size, what)

    def text(self, address: int, what: str) -> str:
        """The NUL-terminated string at an address; bytes that are no UTF-8 are shown escaped."""
        offset, end = self.extent(address, what)
        return self.string(offset, end, what)

    def charge(self, cost: int) -> None:
        """Count the cost of one name or number. All together may not cost much more than the file has bytes."""
        self._budget -= cost
        if self._budget < 0:
            raise self.error("lies: its tables of names overlap many times over")

    def string(self, offset: int, end: int, what: str) -> str:
        """The NUL-terminated string at a file offset, which must end before `end`."""
        stop = min(end, offset + _LONGEST_NAME)
        raw, found, _ = bytes(self.data[offset:stop]).partition(b"\0") if offset < stop else (b"", b"", b"")
        if not found:
            raise self.error(f"lies: {what} at {offset:#x} in the file has no end")
        self.charge(len(raw) + 1)
        return raw.decode("utf-8", "backslashreplace")
