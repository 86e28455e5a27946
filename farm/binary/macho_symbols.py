"""Symbols of a Mach-O file: what an object defines, what a library exports and imports."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from farm.binary import macho_format as macho
from farm.binary.macho_file import MachoFile, Nlist
from farm.model.binary import Symbol

_ORDINAL_SHIFT = 8
_ANY_LIBRARY = 0xFD  # from here: weak lookup, flat lookup, the program itself
_SMALL_TABLE = 1 << 16


def defined(file: MachoFile) -> Iterator[tuple[str, str]]:
    """(name, kind) of the symbols of an object file that a shared library made of it can export.

    Names are as in the file: C names have an underscore in front. What a C compiler hid is left out; kinds as in
    `farm.model.binary.Symbol`.
    """
    for symbol in file.symbols:
        hidden = symbol.type & (macho.N_STAB | macho.N_PEXT) or not symbol.type & macho.N_EXT
        undefined = symbol.type & macho.N_TYPE == macho.N_UNDF and not symbol.value
        if symbol.name and not hidden and not undefined:
            yield symbol.name, file.kind_of(symbol)


def exports_of(file: MachoFile, needed: tuple[str, ...]) -> tuple[Symbol, ...]:
    """What a library offers: its export trie, or its symbol table where it has none. Sorted by name."""
    trie = _trie(file)
    if trie:
        return tuple(sorted(_trie_exports(file, trie, needed), key=lambda s: s.name))
    names = ((s, file.kind_of(s)) for s in file.symbols if _is_exported(s))
    return tuple(
        sorted(
            (Symbol(name=_c_name(s.name), kind=kind, weak=bool(s.desc & macho.N_WEAK_DEF)) for s, kind in names),
            key=lambda s: s.name,
        )
    )


def _is_exported(symbol: Nlist) -> bool:
    shown = symbol.type & macho.N_EXT and not symbol.type & (macho.N_STAB | macho.N_PEXT)
    return bool(shown and symbol.name and symbol.type & macho.N_TYPE != macho.N_UNDF)


def imports_of(file: MachoFile, needed: tuple[str, ...]) -> tuple[Symbol, ...]:
    """The undefined symbols, each with the library that the two-level namespace binds it to."""
    return tuple(
        Symbol(
            name=_c_name(symbol.name),
            library=_library(file, symbol.desc >> _ORDINAL_SHIFT, needed) if file.flags & macho.MH_TWOLEVEL else "",
            kind="other",
            weak=bool(symbol.desc & macho.N_WEAK_REF),
        )
        for symbol in file.symbols
        if symbol.name and symbol.type & (macho.N_STAB | macho.N_TYPE | macho.N_EXT) == macho.N_EXT
    )


def _c_name(name: str) -> str:
    return name.removeprefix("_")


def _library(file: MachoFile, ordinal: int, needed: tuple[str, ...]) -> str:
    """The needed library of an ordinal; empty for the file itself and where any library or the program will do."""
    if ordinal == 0 or ordinal >= _ANY_LIBRARY:
        return ""
    if ordinal > len(needed):
        raise file.error(f"lies: it imports from library {ordinal} of {len(needed)}")
    return needed[ordinal - 1]


def _trie(file: MachoFile) -> bytes:
    """The export trie; empty if there is none."""
    command = file.command(macho.LC_DYLD_EXPORTS_TRIE)
    if command is not None:
        offset, size = file.fields(command, "pair")
    else:
        command = file.command(macho.LC_DYLD_INFO_ONLY, macho.LC_DYLD_INFO)
        if command is None:
            return b""
        offset, size = file.fields(command, "info_exports")
    return bytes(file.span(offset, size, "the export trie"))


def _trie_exports(file: MachoFile, trie: bytes, needed: tuple[str, ...]) -> Iterator[Symbol]:
    base = next((s.address for s in file.segments if s.name == "__TEXT"), 0)
    starts = [(s.address, s.address + s.size, s.kind) for s in sorted(file.sections, key=lambda s: s.address)]
    for name, flags, value in walk(file, trie):
        library = ""
        if flags & macho.EXPORT_REEXPORT:
            kind, library = "other", _library(file, value, needed)
        elif flags & macho.EXPORT_KIND == macho.EXPORT_TLS:
            kind = "tls"
        elif flags & macho.EXPORT_KIND == macho.EXPORT_ABSOLUTE:
            kind = "other"
        else:
            at = bisect_right(starts, (base + value, 1 << 65, "")) - 1
            inside = at >= 0 and base + value <= starts[at][1]  # a symbol may mark the end of its section
            kind = starts[at][2] if inside else "other"
        yield Symbol(name=_c_name(name), library=library, kind=kind, weak=bool(flags & macho.EXPORT_WEAK))


def walk(file: MachoFile, trie: bytes) -> Iterator[tuple[str, int, int]]:
    """(name, flags, value) of the ends of an export trie; the value is an address or, of a re-export, an ordinal.

    A node has: the size of what it says, that, the number of edges, and for each edge a string and the place of the
    next node. Each node is visited once at most, so the walk ends whatever the bytes are.
    """
    budget = 16 * len(trie) + _SMALL_TABLE
    seen = {0}
    todo = [(b"", 0)]
    while todo:
        prefix, at = todo.pop()
        size, at = uleb(file, trie, at)
        edges = at + size
        if size:
            flags, at = uleb(file, trie, at)
            value, _ = uleb(file, trie, at)
            yield prefix.decode("utf-8", "backslashreplace"), flags, value
        if edges >= len(trie):
            raise file.error("lies: a node of its export trie has no end")
        at = edges + 1
        for _ in range(trie[edges]):
            end = trie.find(b"\0", at)
            if end < 0:
                raise file.error("lies: an edge of its export trie has no end")
            name = prefix + trie[at:end]
            node, at = uleb(file, trie, end + 1)
            budget -= len(name) + 1
            if node in seen or budget < 0:
                raise file.error("lies: its export trie goes in circles")
            seen.add(node)
            todo.append((name, node))


def uleb(file: MachoFile, data: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128 and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise file.error("lies: its export trie is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise file.error("lies: its export trie has a number of more than 64 bits")
