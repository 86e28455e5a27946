"""What a PE file exports and imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from farm.binary import pe_format as pe
from farm.binary.pe_file import PeFile
from farm.model.binary import Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The export directory: the DLL's own name and the symbols with a name, as the file has them."""

    library: str = ""
    symbols: tuple[Symbol, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """One needed library and what is imported from it; `at_use` where it is loaded only at the first use."""

    library: str
    symbols: tuple[Symbol, ...]
    at_use: bool


def exports_of(file: PeFile) -> Exports:
    """Read the export directory. Exports that have a number only are left out: nobody can link to them by name."""
    address, size = file.directory(pe.EXPORT_TABLE)
    if not address:
        return Exports()
    row = pe.EXPORTS.unpack(file.mapped(address, pe.EXPORTS.size, "the export directory"))
    _, _, _, _, library, _, count, names, functions_at, names_at, places_at = row
    functions = file.mapped(functions_at, count * pe.WORD.size, "the exported addresses")
    name_rows = file.mapped(names_at, names * pe.WORD.size, "the exported names")
    places = file.mapped(places_at, names * pe.HALF.size, "the places of the exported names")
    found = []
    rows = zip(pe.WORD.iter_unpack(name_rows), pe.HALF.iter_unpack(places), strict=True)
    for (name_at,), (place,) in rows:
        if place >= count:
            raise file.error(f"lies: an exported name is for function {place} of {count}")
        (target,) = pe.WORD.unpack_from(functions, place * pe.WORD.size)
        found.append(_export(file, file.text(name_at, "an exported name"), target, range(address, address + size)))
    return Exports(library=file.text(library, "the DLL's name") if library else "", symbols=tuple(found))


def _export(file: PeFile, name: str, target: int, directory: range) -> Symbol:
    """An export whose address lies in the export directory is no code but the name of another library's symbol."""
    if target in directory:
        return Symbol(name=name, library=file.text(target, "a forwarded export"), kind="other")
    section = file.section_at(target)
    if section is None:
        raise file.error(f"lies: its export {name} is at {target:#x}, in no section")
    return Symbol(name=name, kind="func" if section.is_code else "object")


def imports_of(file: PeFile) -> Iterator[Imports]:
    """The needed libraries in file order: those that Windows loads at once, then those loaded at their first use."""
    for row in _descriptors(file, pe.IMPORT_TABLE, pe.IMPORT, "an import descriptor", name_field=3):
        lookup, _, _, name, addresses = row
        yield _library(file, name, lookup or addresses, at_use=False)
    for row in _descriptors(file, pe.DELAY_IMPORT_TABLE, pe.DELAY_IMPORT, "a delayed import", name_field=1):
        attributes, name, _, _, names, _, _, _ = row
        if not attributes & pe.DELAY_HAS_ADDRESSES:
            raise file.error("has delayed imports in the form of 1998 and before, which is not read")
        yield _library(file, name, names, at_use=True)


def needed_names(file: PeFile) -> Iterator[int]:
    """The addresses of the names of needed libraries, of delayed imports too."""
    for row in _descriptors(file, pe.IMPORT_TABLE, pe.IMPORT, "an import descriptor", name_field=3):
        yield row[3]
    for row in _descriptors(file, pe.DELAY_IMPORT_TABLE, pe.DELAY_IMPORT, "a delayed import", name_field=1):
        yield row[1]


def _descriptors(file: PeFile, index: int, layout: Struct, what: str, *, name_field: int) -> Iterator[tuple[int, ...]]:
    """The rows of a table that ends with an empty one. The directory's size is no guide: linkers disagree on it."""
    address, _ = file.directory(index)
    while address:
        row = layout.unpack(file.mapped(address, layout.size, what))
        if not row[name_field]:
            return
        yield row
        address += layout.size


def _library(file: PeFile, name_at: int, table_at: int, *, at_use: bool) -> Imports:
    library = file.text(name_at, "a needed library's name")
    names = tuple(_names(file, table_at)) if table_at else ()
    symbols = tuple(Symbol(name=name, library=library, kind="other", weak=at_use) for name in names)
    return Imports(library=library, symbols=symbols, at_use=at_use)


def _names(file: PeFile, table_at: int) -> Iterator[str]:
    """The names of one import table, which ends with a zero; a name follows a number that guesses at its place."""
    offset, end = file.extent(table_at, "an import table")
    thunk = file.layout.thunk
    for at in range(offset, end - thunk.size + 1, thunk.size):
        (value,) = thunk.unpack_from(file.data, at)
        if not value:
            return
        file.charge(thunk.size)
        if value & file.layout.ordinal:
            yield f"#{value & 0xFFFF}"
        else:
            yield file.text(value + pe.HALF.size, "an imported name")
    raise file.error(f"lies: its import table at {table_at:#x} has no end")
