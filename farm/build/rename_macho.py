"""Other names for symbols of Mach-O objects: their string table grows, their symbols point to other places in it."""

from __future__ import annotations

from collections.abc import Iterable

from farm.binary import macho_format as macho
from farm.binary.bounded import Strings
from farm.binary.macho_file import MachoFile
from farm.build.rename_values import Added, Names, Renamer

_ALIGNED = 8


def rename(data: memoryview, where: str, names: Names) -> bytes:
    """The object with other names for its external symbols, defined or not. Raises as `Renamer` says."""
    file = MachoFile(data, where)
    command = file.command(macho.LC_SYMTAB)
    if command is None:
        return bytes(data)
    symbols_at, count, strings_at, strings_size = file.fields(command, "symtab")
    content = bytes(file.span(strings_at, strings_size, "the string table"))
    strings, added = Strings(file, content, "a symbol name"), Added(content)
    made = bytearray(data)
    layout = file.layout
    for number, row in enumerate(file.rows(layout.symbol, symbols_at, count, "the symbol table")):
        name_at, type_, section, desc, value = row
        if type_ & macho.N_STAB or not type_ & macho.N_EXT:
            continue
        changed = (_placed(name_at, strings, added, names, where), type_, section, desc)
        # An indirect symbol's value is the place of another name: what it stands for.
        is_alias = type_ & macho.N_TYPE == macho.N_INDR
        value = _placed(value, strings, added, names, where) if is_alias else value
        layout.symbol.pack_into(made, symbols_at + number * layout.symbol.size, *changed, value)
    before = max(command.offset + command.size, symbols_at + count * layout.symbol.size)
    is_last = before <= strings_at and strings_at + strings_size == len(made)
    kept = made[:strings_at] if is_last else made + bytes(-len(made) % _ALIGNED)
    table = added.table() + bytes(-len(added.table()) % _ALIGNED)
    layout.symtab.pack_into(kept, command.offset, symbols_at, count, len(kept), len(table))
    return bytes(kept) + table


def _placed(name_at: int, strings: Strings, added: Added, names: Names, where: str) -> int:
    new = names.new(strings.at(name_at), where) if name_at else None
    return name_at if new is None else added.place(new)


def _exported(_data: memoryview, _where: str) -> Iterable[str]:
    return ()


RENAMER = Renamer(fits=lambda head: head in macho.MAGICS, rename=rename, exported=_exported)
