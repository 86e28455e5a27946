"""Rename references to libraries in place: one module per binary format, and the check that nothing else changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from farm.binary import formats
from farm.binary.lookup import LOOKUPS
from farm.errors import GateError
from farm.model.binary import BinaryFormat, Linkage, Symbol
from farm.repair import rename_elf, rename_macho, rename_pe
from farm.repair.move import BUILD_INSTEAD, Move


class Renamer(Protocol):
    """A module that renames references in files of one format."""

    def renamed(self, content: bytes, moves: Mapping[str, Move], name: str) -> bytes:
        """The file with the new names; `moves` by `Move.old`. Raises BinaryFormatError, GateError."""
        ...


RENAMERS: Mapping[BinaryFormat, Renamer] = {
    BinaryFormat.ELF: rename_elf,
    BinaryFormat.PE: rename_pe,
    BinaryFormat.MACHO: rename_macho,
}


def renamed(content: bytes, linkage: Linkage, moves: Mapping[str, Move], name: str) -> bytes:
    """The file with other references, of the same size; `moves` by `Move.old`, `linkage` what it says now.

    The result is read again. Raises BinaryFormatError if the file is damaged, GateError if it is signed by somebody or
    would say anything else that it did not say before (a name that shares its bytes with another).
    """
    result = RENAMERS[linkage.format].renamed(content, moves, name)
    found = formats.read_bytes(result, name)
    if found is None or len(result) != len(content) or _once(found) != _once(moved(linkage, moves)):
        raise GateError("cannot be renamed in place: its names share their bytes", where=name, fix=BUILD_INSTEAD)
    return result


def _once(linkage: Linkage) -> Linkage:
    """With each needed library once: two spellings of a DLL's name become one."""
    return replace(linkage, needed=tuple(dict.fromkeys(linkage.needed)))


def left_over(content: bytes, moves: Mapping[str, Move]) -> str:
    """The old name of a library that a file still speaks of, by which running code may open it; empty if there is none.

    Names are looked for without their ending, as DLLs name each other in forwarded exports.
    """
    for move in moves.values():
        stem = re.escape(move.old.rpartition(".")[0].encode())
        if re.search(rb"(?<![\w+.-])" + stem + rb"\.", content, re.IGNORECASE):
            return move.old
    return ""


def moved(linkage: Linkage, moves: Mapping[str, Move]) -> Linkage:
    """What a file says after its references were renamed."""
    key = LOOKUPS[linkage.format].key

    def new(name: str) -> str:
        move = moves.get(key(name))
        return name if move is None else name[: len(name) - len(move.old)] + move.new

    def symbol(old: Symbol) -> Symbol:
        return replace(old, library=new(old.library)) if key(old.library) in moves else old

    return replace(
        linkage,
        needed=tuple(map(new, linkage.needed)),
        exports=tuple(map(symbol, linkage.exports)),
        imports=tuple(map(symbol, linkage.imports)),
        version_needs={new(library): versions for library, versions in linkage.version_needs.items()},
    )
