"""A thin Mach-O file's frame: header, load commands, segments, sections and symbols. Nothing in it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from farm.binary import macho_format as macho
from farm.binary.bounded import Bounded, Strings

_MAGIC_SIZE = 4
_FULL_NAME = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A load command: its body, which follows `cmd` and `cmdsize`, is `size` bytes at file offset `offset`."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section: `size` bytes at address `address`; in the file at `offset`, unless it is zero-filled."""

    segment: str
    name: str
    address: int
    size: int
    offset: int
    flags: int

    @property
    def kind(self) -> str:
        """What a symbol in it is: ``func | object | tls``."""
        if self.flags & macho.S_ATTR_CODE:
            return "func"
        return "tls" if self.flags & macho.SECTION_TYPE in macho.THREAD_LOCAL else "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment: `memory_size` bytes at `address`, of which `size` bytes lie in the file at `offset`."""

    name: str
    address: int
    memory_size: int
    offset: int
    size: int
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nlist:
    """A row of the symbol table, with its name as in the file (C names have an underscore in front)."""

    name: str
    type: int
    section: int
    desc: int
    value: int


class MachoFile(Bounded):
    """The frame of one thin Mach-O file (32 and 64 bit, both byte orders).

    Raises BinaryFormatError from the constructor and from every property if the file is damaged.
    """

    fix = "build or fetch the file again; `llvm-objdump --macho --private-headers` may show more"

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        super().__init__(data, name)
        kind = macho.MAGICS.get(bytes(self.data[:_MAGIC_SIZE]))
        if kind is None:
            raise self.error("is not a Mach-O file")
        self.bits = kind[0]
        self.layout = macho.LAYOUTS[kind]
        header = self.row(self.layout.header, 0, "the Mach-O header")
        self.cpu, self.type, self._count, self._commands_size, self.flags = header
        if self.type not in macho.FILE_TYPES:
            raise self.error(
                f"has Mach-O type {self.type}, which is neither a program nor a library nor an object file"
            )

    @property
    def arch(self) -> str:
        """Architecture as wheel tags spell it; ``macho-cpu-N`` if it has no tag."""
        return macho.CPUS.get(self.cpu, f"macho-cpu-{self.cpu:#x}")

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """The load commands."""
        at = self.layout.header.size
        end = at + self._commands_size
        self.span(at, self._commands_size, "the load commands")
        found = []
        for _ in range(self._count):
            type_, size = self.row(self.layout.command, at, "a load command")
            if size < self.layout.command.size or at + size > end:
                raise self.error(f"lies: a load command of {size} bytes at {at:#x} leaves the load commands")
            body = at + self.layout.command.size
            found.append(Command(type=type_, offset=body, size=size - self.layout.command.size))
            at += size
        return tuple(found)

    def command(self, *types: int) -> Command | None:
        """The first load command of any of the types."""
        return next((c for c in self.commands if c.type in types), None)

    def fields(self, command: Command, layout: str) -> tuple[int, ...]:
        """The leading fields of a command's body; `layout` names a field of the file's Layout."""
        struct = getattr(self.layout, layout)
        if struct.size > command.size:
            raise self.error(f"has a load command {command.type:#x} of {command.size} bytes: too short")
        row: tuple[int, ...] = self.row(struct, command.offset, "a load command")
        return row

    def text(self, command: Command) -> str:
        """The string of a command whose first field is its offset from the start of the command."""
        (start,) = self.fields(command, "word")
        body = bytes(self.span(command.offset, command.size, "a load command"))
        at = start - self.layout.command.size
        if at < self.layout.word.size or at >= len(body):
            raise self.error(f"lies: the name in load command {command.type:#x} is outside of it")
        return body[at:].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, from the load commands of this file's width."""
        kinds = (macho.LC_SEGMENT_64 if self.bits == 64 else macho.LC_SEGMENT,)
        return tuple(self._segment(c) for c in self.commands if c.type in kinds)

    def _segment(self, command: Command) -> Segment:
        raw: tuple[bytes, int, int, int, int, int] = self.fields(command, "segment")  # type: ignore[assignment]
        name, address, memory_size, offset, size, count = raw
        self.span(offset, size, "a segment")
        at = command.offset + self.layout.segment.size
        if count * self.layout.section.size > command.offset + command.size - at:
            raise self.error(f"lies: segment {_name(name)} has {count} sections, more than fit its load command")
        rows = self.rows(self.layout.section, at, count, "the sections")
        return Segment(
            name=_name(name),
            address=address,
            memory_size=memory_size,
            offset=offset,
            size=size,
            sections=tuple(
                Section(name=_name(n), segment=_name(s), address=a, size=z, offset=o, flags=f)
                for n, s, a, z, o, f in rows
            ),
        )

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections in the order in which symbols number them, from 1."""
        return tuple(section for segment in self.segments for section in segment.sections)

    @cached_property
    def symbols(self) -> tuple[Nlist, ...]:
        """The symbol table; empty if there is none."""
        return tuple(self._symbols())

    def _symbols(self) -> Iterator[Nlist]:
        command = self.command(macho.LC_SYMTAB)
        if command is None:
            return
        at, count, strings_at, strings_size = self.fields(command, "symtab")
        table = self.rows(self.layout.symbol, at, count, "the symbol table")
        strings = Strings(self, bytes(self.span(strings_at, strings_size, "the string table")), "a symbol name")
        for name, type_, section, desc, value in table:
            text = strings.at(name) if name else ""
            yield Nlist(name=text, type=type_, section=section, desc=desc, value=value)

    def kind_of(self, symbol: Nlist) -> str:
        """``func | object | tls | other`` of a defined symbol, by the section that it lies in."""
        kind = symbol.type & macho.N_TYPE
        if kind == macho.N_UNDF:
            return "object"  # a common block: zeroed data that the linker will place
        if kind != macho.N_SECT:
            return "other"
        if not 0 < symbol.section <= len(self.sections):
            raise self.error(f"lies: symbol {symbol.name} is in section {symbol.section} of {len(self.sections)}")
        return self.sections[symbol.section - 1].kind


def _name(raw: bytes) -> str:
    """A name in a field of 16 bytes, which has a NUL only if it is shorter."""
    return raw[:_FULL_NAME].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
