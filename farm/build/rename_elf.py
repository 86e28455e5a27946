"""Other names for symbols of ELF objects: their string table grows, their symbols point to other places in it."""

from __future__ import annotations

from collections.abc import Iterable

from farm.binary import elf_format as elf
from farm.binary.bounded import Strings
from farm.binary.elf_file import ElfFile, Section
from farm.build.rename_values import Added, Names, Renamer

_OFFSET, _SIZE = 4, 5  # fields of a section header


def rename(data: memoryview, where: str, names: Names) -> bytes:
    """The object with other names for its global symbols, defined or not. Raises as `Renamer` says."""
    file = ElfFile(data, where)
    table = next((section for section in file.sections if section.type == elf.SHT_SYMTAB), None)
    if table is None:
        return bytes(data)
    if table.link >= len(file.sections):
        raise file.error(f"lies: its symbols have names in section {table.link}, which does not exist")
    content = file.content(file.sections[table.link])
    strings, added = Strings(file, content, "a symbol name"), Added(content)
    made = bytearray(data)
    for at, name_at, binding in _symbols(file, table):
        if binding != elf.STB_LOCAL and name_at and (new := names.new(strings.at(name_at), where)) is not None:
            file.layout.word.pack_into(made, at, added.place(new))
    # Section names may be in the same table: it keeps what it has and moves to the end of the file as a whole.
    _point_to(made, file, table.link, len(made), len(added.table()))
    return bytes(made) + added.table()


def _symbols(file: ElfFile, table: Section) -> Iterable[tuple[int, int, int]]:
    """(place of the row in the file, place of its name, binding) of each symbol; the name is a row's first word."""
    layout = file.layout
    for number, row in enumerate(map(layout.symbol_order, layout.symbol.iter_unpack(_whole(file, table)))):
        yield table.offset + number * layout.symbol.size, row[0], row[1] >> 4


def _whole(file: ElfFile, table: Section) -> bytes:
    data = file.content(table)
    return data[: len(data) - len(data) % file.layout.symbol.size]


def _point_to(made: bytearray, file: ElfFile, section: int, offset: int, size: int) -> None:
    at = file.sections_at + section * file.layout.section.size
    row = list(file.layout.section.unpack_from(made, at))
    row[_OFFSET], row[_SIZE] = offset, size
    file.layout.section.pack_into(made, at, *row)


def _exported(_data: memoryview, _where: str) -> Iterable[str]:
    return ()


RENAMER = Renamer(fits=lambda head: head == elf.MAGIC, rename=rename, exported=_exported)
