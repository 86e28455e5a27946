"""Machine code and the functions in it, in one form for ELF, PE and Mach-O: what a disassembly needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from struct import Struct

from farm.binary import elf_file, macho_file, pe_file
from farm.binary import elf_format as elf
from farm.binary import macho_format as macho
from farm.binary import pe_format as pe
from farm.binary.elf_file import Code, ElfFile
from farm.binary.elf_symbols import Function, functions_of
from farm.binary.macho_fat import slices
from farm.binary.macho_file import MachoFile
from farm.binary.pe_file import PeFile
from farm.model.binary import BinaryFormat

_Section = elf_file.Section | pe_file.Section | macho_file.Section

_LC_FUNCTION_STARTS = 0x26
_EXCEPTION_TABLE = 3
_ADDRESS_BITS = 64
# One row of PE's table of functions by architecture: its start and, where it is said, its end.
_PE_FUNCTIONS = {"x86_64": Struct("<II4x"), "aarch64": Struct("<I4x")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSection:
    """A stretch of code at `address`; `data` is None in a file that only keeps debug information of it."""

    name: str
    address: int
    size: int
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The code of one binary, or of one slice of a fat one.

    `functions` are in the order of their addresses; the size of one is 0 where nothing says it. `names_hidden`: a
    file of this format can tell the names of hidden functions, unless it was stripped.
    """

    name: str
    arch: str
    bits: int
    sections: tuple[CodeSection, ...]
    functions: tuple[Function, ...]
    names_hidden: bool = True

    @property
    def code(self) -> tuple[Code, ...]:
        """The sections whose content is there."""
        return tuple(Code(address=s.address, data=s.data) for s in self.sections if s.data)


def programs(data: bytes, name: str, binary_format: BinaryFormat) -> tuple[Program, ...]:
    """The code of a file: one program, or one for each slice of a fat file. Raises BinaryFormatError."""
    return _READERS[binary_format](data, name)


def _elf(data: bytes, name: str) -> tuple[Program, ...]:
    file = ElfFile(data, name)
    executable = [s for s in file.sections if s.flags & elf.SHF_EXECINSTR and s.size]
    found = [_section(s, file.content(s)) for s in executable]
    if not any(section.data for section in found):
        found += [CodeSection(name="", address=c.address, size=len(c.data), data=c.data) for c in file.code()]
    return (
        Program(
            name=name,
            arch=file.arch,
            bits=file.bits,
            sections=tuple(found),
            functions=functions_of(file),
        ),
    )


def _section(section: _Section, content: bytes | memoryview) -> CodeSection:
    """A section of any format with its content, which may be empty."""
    return CodeSection(name=section.name, address=section.address, size=section.size, data=bytes(content) or None)


def _pe(data: bytes, name: str) -> tuple[Program, ...]:
    file = PeFile(data, name)
    code = [section for section in file.sections if section.is_code]
    return (
        Program(
            name=name,
            arch=file.arch,
            bits=file.bits,
            sections=tuple(_section(s, file.mapped(s.address, s.size, "a code section")) for s in code),
            functions=_bounded(_pe_names(file), _pe_starts(file)),
            names_hidden=False,
        ),
    )


def _pe_names(file: PeFile) -> Iterator[tuple[int, str]]:
    """Address and name of what is exported; data and names of other libraries' symbols do no harm here."""
    address, _ = file.directory(pe.EXPORT_TABLE)
    if not address:
        return
    row = pe.EXPORTS.unpack(file.mapped(address, pe.EXPORTS.size, "the export directory"))
    _, _, _, _, _, _, count, names, functions_at, names_at, places_at = row
    functions = file.mapped(functions_at, count * pe.WORD.size, "the exported addresses")
    name_rows = pe.WORD.iter_unpack(file.mapped(names_at, names * pe.WORD.size, "the exported names"))
    places = pe.HALF.iter_unpack(file.mapped(places_at, names * pe.HALF.size, "the places of the exported names"))
    for (name_at,), (place,) in zip(name_rows, places, strict=True):
        if place >= count:
            raise file.error(f"lies: an exported name is for function {place} of {count}")
        yield pe.WORD.unpack_from(functions, place * pe.WORD.size)[0], file.text(name_at, "an exported name")


def _pe_starts(file: PeFile) -> set[int]:
    """Where functions start and end, from the table for exceptions; 32-bit programs have none."""
    row = _PE_FUNCTIONS.get(file.arch)
    address, size = file.directory(_EXCEPTION_TABLE)
    if row is None or not address:
        return set()
    table = file.mapped(address, size - size % row.size, "the table of functions")
    return set(chain.from_iterable(row.iter_unpack(table)))


def _macho(data: bytes, name: str) -> tuple[Program, ...]:
    return tuple(_macho_slice(file) for file in slices(data, name))


def _macho_slice(file: MachoFile) -> Program:
    code = [(n, s) for n, s in enumerate(file.sections, 1) if s.flags & macho.S_ATTR_CODE and s.size]
    numbers = {n for n, _ in code}
    named = [
        (symbol.value, symbol.name.removeprefix("_"))
        for symbol in file.symbols
        if symbol.section in numbers and not symbol.type & macho.N_STAB and symbol.type & macho.N_TYPE == macho.N_SECT
    ]
    return Program(
        name=file.name,
        arch=file.arch,
        bits=file.bits,
        sections=tuple(_section(s, file.span(s.offset, s.size, "a code section")) for _, s in code),
        functions=_bounded(named, _macho_starts(file)),
    )


def _macho_starts(file: MachoFile) -> set[int]:
    """Where functions start: differences in LEB128 from the start of ``__TEXT``."""
    command = file.command(_LC_FUNCTION_STARTS)
    base = next((segment.address for segment in file.segments if segment.name == "__TEXT"), None)
    if command is None or base is None:
        return set()
    offset, size = file.fields(command, "pair")
    found, at, shift, delta = set(), base, 0, 0
    for byte in file.span(offset, size, "the starts of functions"):
        if shift >= _ADDRESS_BITS:
            raise file.error("lies: its starts of functions have a number of more than 64 bits")
        delta |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            continue
        if not delta:
            break
        at += delta
        found.add(at)
        shift = delta = 0
    return found


def _bounded(named: Iterable[tuple[int, str]], starts: set[int]) -> tuple[Function, ...]:
    """Functions whose ends are the next known start: what follows a named one may be a hidden one."""
    rows = sorted(set(named))
    edges = sorted(starts | {address for address, _ in rows})
    ends = dict(pairwise(edges)) if starts else {}
    return tuple(Function(name=n, address=a, size=ends[a] - a if a in ends else 0) for a, n in rows)


_READERS: Mapping[BinaryFormat, Callable[[bytes, str], tuple[Program, ...]]] = {
    BinaryFormat.ELF: _elf,
    BinaryFormat.PE: _pe,
    BinaryFormat.MACHO: _macho,
}
