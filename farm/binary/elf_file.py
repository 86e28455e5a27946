"""An ELF file's frame: header, segments, sections, and the map from addresses to bytes. Nothing in it is believed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from farm.binary import elf_format as elf
from farm.binary.bounded import Bounded, Strings


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A program header. `address` and `memory_size` are in memory, `offset` and `size` in the file, all in bytes."""

    type: int
    flags: int
    offset: int
    address: int
    size: int
    memory_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section header; `size` bytes at file offset `offset`, unless its type is SHT_NOBITS."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int

    @property
    def is_debug(self) -> bool:
        """Whether it holds debug information (DWARF)."""
        return self.name.startswith((".debug_", ".zdebug_")) and not self.flags & elf.SHF_ALLOC


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A stretch of machine code: `data` is mapped at `address`."""

    address: int
    data: bytes


class ElfFile(Bounded):
    """The frame of one ELF file (gABI; 32 and 64 bit, both byte orders).

    Raises BinaryFormatError from the constructor and from every property if the file is damaged. Segments are enough:
    a file whose section headers were stripped has no `sections`, and everything else still works.
    """

    fix = "build or fetch the file again; `readelf -a` may show more"

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        super().__init__(data, name)
        ident = bytes(self.data[:16])
        if len(ident) < 16 or not ident.startswith(elf.MAGIC):
            raise self.error("is not an ELF file" if not ident.startswith(elf.MAGIC) else "ends inside the ELF header")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise self.error(f"has ELF class {ident[4]} and data encoding {ident[5]}; each must be 1 or 2")
        self.bits = 32 * ident[4]
        self.little = ident[5] == 1
        self.layout = elf.LAYOUTS[self.bits, self.little]
        header = self.layout.header.unpack(self.span(0, self.layout.header.size, "the ELF header"))
        self.type, self.machine, _, _, self._phoff, self._shoff, _, _, self._phentsize, self._phnum = header[:10]
        self._shentsize, self._shnum, self._shstrndx = header[10:]
        if self.type not in elf.FILE_TYPES:
            raise self.error(
                f"has ELF type {self.type}, which is neither a program nor a shared object nor an object file"
            )

    @property
    def arch(self) -> str:
        """Architecture as wheel tags spell it; ``elf-machine-N`` if it has no tag."""
        names = elf.MACHINES.get(self.machine)
        return names[not self.little] if names else f"elf-machine-{self.machine}"

    @property
    def sections_at(self) -> int:
        """The file offset of the section headers; 0 if there are none."""
        return int(self._shoff)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The program headers."""
        count = self._phnum
        if count == elf.PN_XNUM and self._shoff:
            count = self._section_row(0)[7]  # sh_info
        if not count:
            return ()
        layout = self.layout
        if self._phentsize != layout.segment.size:
            raise self.error(f"has program headers of {self._phentsize} bytes instead of {layout.segment.size}")
        table = self.span(self._phoff, count * layout.segment.size, "the program header table")
        return tuple(self._segment(layout.segment_order(row)) for row in layout.segment.iter_unpack(table))

    def _segment(self, row: tuple[int, ...]) -> Segment:
        type_, flags, offset, address, _, size, memory_size, _ = row
        if type_ in (elf.PT_LOAD, elf.PT_DYNAMIC, elf.PT_INTERP):
            self.span(offset, size, "a segment")
            if type_ == elf.PT_LOAD and size > memory_size:
                raise self.error(f"has a segment at {address:#x} that is larger in the file than in memory")
        return Segment(type=type_, flags=flags, offset=offset, address=address, size=size, memory_size=memory_size)

    @cached_property
    def loads(self) -> tuple[Segment, ...]:
        """The PT_LOAD segments by address; they must not overlap."""
        loads = sorted((s for s in self.segments if s.type == elf.PT_LOAD), key=lambda s: s.address)
        for low, high in pairwise(loads):
            if low.address + low.memory_size > high.address:
                raise self.error(f"has overlapping segments at {low.address:#x} and {high.address:#x}")
        return tuple(loads)

    @cached_property
    def _load_starts(self) -> list[int]:
        return [segment.address for segment in self.loads]

    def offset_of(self, address: int, what: str) -> int:
        """The file offset of a mapped address."""
        at = bisect_right(self._load_starts, address) - 1
        if at >= 0:
            segment = self.loads[at]
            if address - segment.address < segment.size:
                return segment.offset + address - segment.address
        raise self.error(f"places {what} at address {address:#x}, where no segment has bytes of the file")

    def mapped(self, address: int, size: int, what: str) -> memoryview:
        """`size` bytes at a mapped address, all from one segment."""
        if size == 0:
            return self.data[:0]
        offset = self.offset_of(address, what)
        segment = self.loads[bisect_right(self._load_starts, address) - 1]
        if address + size > segment.address + segment.size:
            raise self.error(f"lies: {what} at {address:#x} of {size} bytes leaves its segment")
        return self.span(offset, size, what)

    def mapped_from(self, address: int, what: str) -> memoryview:
        """All bytes from a mapped address to the end of its segment."""
        segment = self.loads[bisect_right(self._load_starts, address) - 1] if self.loads else None
        offset = self.offset_of(address, what)
        assert segment is not None
        return self.data[offset : segment.offset + segment.size]

    def segment(self, type_: int) -> Segment | None:
        """The first segment of a type."""
        return next((s for s in self.segments if s.type == type_), None)

    def _section_row(self, index: int) -> tuple[int, ...]:
        layout = self.layout.section
        return layout.unpack(self.span(self._shoff + index * layout.size, layout.size, "a section header"))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections, the null section first; empty if the file has no section headers."""
        if not self._shoff:
            return ()
        layout = self.layout.section
        if self._shentsize != layout.size:
            raise self.error(f"has section headers of {self._shentsize} bytes instead of {layout.size}")
        count = self._shnum or self._section_row(0)[5]  # sh_size
        table = self.span(self._shoff, count * layout.size, "the section header table")
        rows = list(layout.iter_unpack(table))
        names = self._section_names(rows)
        return tuple(self._section(row, names) for row in rows)

    def _section_names(self, rows: list[tuple[int, ...]]) -> Strings:
        index = self._shstrndx
        if index == elf.SHN_XINDEX and rows:
            index = rows[0][6]  # sh_link
        if index == 0:
            return Strings(self, b"\0", "a section name")
        if index >= len(rows):
            raise self.error(f"names section {index} as its string table, but has {len(rows)} sections")
        row = rows[index]
        table = b"\0" if row[1] == elf.SHT_NOBITS else bytes(self.span(row[4], row[5], "the section name table"))
        return Strings(self, table, "a section name")

    def _section(self, row: tuple[int, ...], names: Strings) -> Section:
        name, type_, flags, address, offset, size, link, _, _, _ = row
        if type_ not in (0, elf.SHT_NOBITS):
            self.span(offset, size, "a section")
        return Section(
            name=names.at(name),
            type=type_,
            flags=flags,
            address=address,
            offset=offset,
            size=size,
            link=link,
        )

    def section(self, name: str) -> Section | None:
        """The first section of a name, or None."""
        return next((s for s in self.sections if s.name == name), None)

    def content(self, section: Section) -> bytes:
        """A section's bytes; empty for SHT_NOBITS."""
        if section.type in (0, elf.SHT_NOBITS):
            return b""
        return bytes(self.span(section.offset, section.size, f"section {section.name}"))

    def code(self) -> tuple[Code, ...]:
        """The machine code: executable sections, or the executable segments if there are no section headers."""
        wanted = elf.SHF_ALLOC | elf.SHF_EXECINSTR
        found = [s for s in self.sections if s.flags & wanted == wanted and s.type == elf.SHT_PROGBITS and s.size]
        if sum(s.size for s in found) > len(self.data):
            raise self.error("has code sections that overlap")
        if found:
            return tuple(Code(address=s.address, data=self.content(s)) for s in found)
        return tuple(
            Code(address=s.address, data=bytes(self.span(s.offset, s.size, "code")))
            for s in self.loads
            if s.flags & elf.PF_X and s.size
        )
