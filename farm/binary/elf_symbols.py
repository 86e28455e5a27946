"""Symbols of an ELF file: dynamic ones with their GNU versions, and the function table for disassembly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from farm.binary import elf_format as elf
from farm.binary.bounded import Strings
from farm.binary.elf_dynamic import Dynamic, symbol_count
from farm.binary.elf_file import ElfFile, Section
from farm.model.binary import Symbol

_GLOBAL = frozenset({elf.STB_GLOBAL, elf.STB_WEAK, elf.STB_GNU_UNIQUE})
_VISIBLE = frozenset({elf.STV_DEFAULT, elf.STV_PROTECTED})
_MOST_VERSIONS = 0x7FFF  # an index has 15 bits
# Where code and data begin in a section of ARM, AArch64 and RISC-V ("mapping symbols" of their ELF supplements).
_MAPPING = re.compile(r"\$[adtx](?:[.A-Za-z].*)?")
_FUNCTIONS = frozenset({elf.STT_FUNC, elf.STT_GNU_IFUNC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A named piece of code; `size` is 0 where the assembler was not told."""

    name: str
    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Symbol versions by index: `needed` -> (library, version), `defined` -> version; `by_library` in file order."""

    needed: dict[int, tuple[str, str]] = field(default_factory=dict)
    defined: dict[int, str] = field(default_factory=dict)
    by_library: dict[str, tuple[str, ...]] = field(default_factory=dict)


def versions_of(file: ElfFile, dynamic: Dynamic) -> Versions:
    """Read DT_VERNEED and DT_VERDEF."""
    needed, by_library = _needed_versions(file, dynamic)
    return Versions(needed=needed, defined=_defined_versions(file, dynamic), by_library=by_library)


def _needed_versions(file: ElfFile, dynamic: Dynamic) -> tuple[dict[int, tuple[str, str]], dict[str, tuple[str, ...]]]:
    needed: dict[int, tuple[str, str]] = {}
    by_library: dict[str, tuple[str, ...]] = {}
    count = dynamic.entries.get(elf.DT_VERNEEDNUM, 0)
    if not count or elf.DT_VERNEED not in dynamic.entries:
        return needed, by_library
    table = file.mapped_from(dynamic.entries[elf.DT_VERNEED], "the needed versions")
    at = total = 0
    for _ in range(count):
        _, entries, name, aux, step = _record(file, table, at, elf.VERNEED[file.little])
        library = dynamic.strings.at(name)
        found: list[str] = []
        entry = at + aux
        for _ in range(entries):
            _, _, index, version_name, entry_step = _record(file, table, entry, elf.VERNAUX[file.little])
            version = dynamic.strings.at(version_name)
            needed[index & ~elf.VERSYM_HIDDEN] = (library, version)
            found.append(version)
            total += 1
            if total > _MOST_VERSIONS:
                raise file.error("lies: it needs more symbol versions than ELF can number")
            if not entry_step:
                break
            entry += entry_step
        by_library[library] = (*by_library.get(library, ()), *found)
        if not step:
            break
        at += step
    return needed, by_library


def version_files(file: ElfFile, dynamic: Dynamic) -> Iterator[int]:
    """Where in the dynamic string table the names of the libraries are that DT_VERNEED asks for versions."""
    if elf.DT_VERNEED not in dynamic.entries:
        return
    table = file.mapped_from(dynamic.entries[elf.DT_VERNEED], "the needed versions")
    at = 0
    for _ in range(dynamic.entries.get(elf.DT_VERNEEDNUM, 0)):
        _, _, name, _, step = _record(file, table, at, elf.VERNEED[file.little])
        yield name
        if not step:
            return
        at += step


def _defined_versions(file: ElfFile, dynamic: Dynamic) -> dict[int, str]:
    defined: dict[int, str] = {}
    count = dynamic.entries.get(elf.DT_VERDEFNUM, 0)
    if not count or elf.DT_VERDEF not in dynamic.entries:
        return defined
    table = file.mapped_from(dynamic.entries[elf.DT_VERDEF], "the defined versions")
    at = 0
    for _ in range(count):
        _, flags, index, _, _, aux, step = _record(file, table, at, elf.VERDEF[file.little])
        name, _ = _record(file, table, at + aux, elf.VERDAUX[file.little])
        if not flags & elf.VER_FLG_BASE:
            defined[index & ~elf.VERSYM_HIDDEN] = dynamic.strings.at(name)
        if not step:
            break
        at += step
    return defined


def _record(file: ElfFile, table: memoryview, at: int, layout: Struct) -> tuple[int, ...]:
    """One record of a chain; the last field is the distance to the next one."""
    if at + layout.size > len(table):
        raise file.error("lies: a symbol version record is outside its segment")
    record: tuple[int, ...] = layout.unpack_from(table, at)
    if 0 < record[-1] < layout.size:
        raise file.error("lies: its symbol version records overlap")
    return record


def dynamic_symbols(
    file: ElfFile, dynamic: Dynamic, versions: Versions
) -> tuple[tuple[Symbol, ...], tuple[Symbol, ...]]:
    """(exports, imports) in the table's order. Exports are what other files can bind to."""
    count = symbol_count(file, dynamic)
    if count <= 1:
        return (), ()
    layout = file.layout
    entry = dynamic.entries.get(elf.DT_SYMENT, layout.symbol.size)
    if entry != layout.symbol.size:
        raise file.error(f"has dynamic symbols of {entry} bytes instead of {layout.symbol.size}")
    table = file.mapped(dynamic.entries[elf.DT_SYMTAB], count * entry, "the dynamic symbol table")
    marks = _version_marks(file, dynamic, count)
    exports: list[Symbol] = []
    imports: list[Symbol] = []
    rows = map(layout.symbol_order, layout.symbol.iter_unpack(table))
    for mark, (name_at, info, other, section, _, size) in zip(marks, rows, strict=True):
        if not name_at or info >> 4 not in _GLOBAL:
            continue
        name = dynamic.strings.at(name_at)
        index = mark & ~elf.VERSYM_HIDDEN
        if section == 0:
            library, version = versions.needed.get(index, ("", ""))
        elif other & 3 not in _VISIBLE:
            continue
        else:
            library, version = "", versions.defined.get(index, "")
            if section == elf.SHN_ABS and version == name:
                continue  # the linker's marker of a version, not a symbol
        symbol = Symbol(
            name=name,
            version=version,
            library=library,
            size=size if section else 0,
            kind=elf.SYMBOL_KINDS.get(info & 15, "other"),
            weak=info >> 4 == elf.STB_WEAK,
        )
        (exports if section else imports).append(symbol)
    return tuple(exports), tuple(imports)


def _version_marks(file: ElfFile, dynamic: Dynamic, count: int) -> list[int]:
    if elf.DT_VERSYM not in dynamic.entries:
        return [1] * count
    layout = elf.VERSYM[file.little]
    table = file.mapped(dynamic.entries[elf.DT_VERSYM], count * layout.size, "the symbol versions")
    return [row[0] for row in layout.iter_unpack(table)]


def functions_of(file: ElfFile) -> tuple[Function, ...]:
    """Every function in `.symtab` and `.dynsym` by address; aliases of one address each have an entry.

    Untyped symbols that lie in code (hand-written assembly) count too.
    """
    code = [(s.address, s.address + s.size) for s in file.sections if s.flags & elf.SHF_EXECINSTR]
    found: set[tuple[int, int, str]] = set()
    for kind in (elf.SHT_SYMTAB, elf.SHT_DYNSYM):  # the gABI allows one table of each
        table = next((s for s in file.sections if s.type == kind), None)
        if table is not None:
            found.update(_functions_in(file, table, code))
    return tuple(Function(address=address, size=size, name=name) for address, size, name in sorted(found))


def defined(file: ElfFile) -> Iterator[tuple[str, str]]:
    """(name, kind) of the symbols of an object file that a shared library made of it can export.

    What a C compiler hid is left out; kinds as in `farm.model.binary.Symbol`.
    """
    table = next((s for s in file.sections if s.type == elf.SHT_SYMTAB), None)
    if table is None:
        return
    for name, info, other, section, _, _ in _rows(file, table):
        if section and name and info >> 4 in _GLOBAL and other & 3 in _VISIBLE:
            yield name, _kind_in(file, info & 15, section)


def _kind_in(file: ElfFile, type_: int, section: int) -> str:
    """Untyped symbols (hand-written assembly) are what their section is."""
    if type_ in elf.SYMBOL_KINDS:
        return elf.SYMBOL_KINDS[type_]
    if section >= len(file.sections):
        return "other"  # absolute, or in a section beyond the 16-bit numbers
    flags = file.sections[section].flags
    return "func" if flags & elf.SHF_EXECINSTR else "object" if flags & elf.SHF_ALLOC else "other"


def _rows(file: ElfFile, table: Section) -> Iterator[tuple[str, int, int, int, int, int]]:
    """The named rows of a symbol table: name, info, other, section, address, size."""
    if table.link >= len(file.sections):
        raise file.error(f"lies: symbol table {table.name} has strings in section {table.link}, which does not exist")
    strings = Strings(file, file.content(file.sections[table.link]), "a symbol name")
    layout = file.layout
    data = file.content(table)
    data = data[: len(data) - len(data) % layout.symbol.size]
    for name_at, *rest in map(layout.symbol_order, layout.symbol.iter_unpack(data)):
        if name_at:
            info, other, section, address, size = rest
            yield strings.at(name_at), info, other, section, address, size


def _functions_in(file: ElfFile, table: Section, code: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
    found = []
    for name, info, _, section, address, size in _rows(file, table):
        kind = info & 15
        if section == 0 or (kind not in _FUNCTIONS and kind != 0) or _MAPPING.fullmatch(name):
            continue
        if kind == 0 and not any(low <= address < high for low, high in code):
            continue
        found.append((address, size, name))
    return found
