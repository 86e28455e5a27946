"""Rename needed libraries of a Mach-O file in its load commands, for names of the same length.

With the name comes what else a linker takes from the library that it links to: its current and compatibility version.
An ad-hoc signature gets the new hashes of the pages that changed. Source of the layout: `mach-o/loader.h`.
"""

from __future__ import annotations

from collections.abc import Mapping

from farm.binary import macho_format as macho
from farm.binary.lookup import LOOKUPS
from farm.binary.macho_fat import slices
from farm.binary.macho_file import MachoFile
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat
from farm.repair.move import Move
from farm.repair.patch_macho import renew_signature


def renamed(content: bytes, moves: Mapping[str, Move], name: str) -> bytes:
    """The file with the new names, in every slice.

    Raises BinaryFormatError if it or a library is damaged, if it is signed with a certificate, or if a library has no
    slice for one of its architectures.
    """
    data = bytearray(content)
    key = LOOKUPS[BinaryFormat.MACHO].key
    for file in slices(memoryview(data), name):
        for command in [c for c in file.commands if c.type in macho.LOADS]:
            old = file.text(command)
            move = moves.get(key(old))
            if move is None:
                continue
            at, stamp, _, _ = file.fields(command, "symtab")
            current, compatible = _versions(move, file)
            file.layout.symtab.pack_into(file.data, command.offset, at, stamp, current, compatible)
            end = command.offset - file.layout.command.size + at + len(old.encode())
            file.data[end - len(move.new) : end] = move.new.encode()
        renew_signature(file)
    return bytes(data)


def _versions(move: Move, user: MachoFile) -> tuple[int, int]:
    """Current and compatibility version of the library's slice for the user's architecture."""
    for file in slices(move.library, move.new):
        command = file.command(macho.LC_ID_DYLIB)
        if file.cpu == user.cpu and command is not None:
            _, _, current, compatible = file.fields(command, "symtab")
            return current, compatible
    raise BinaryFormatError(
        f"is no library for {user.arch}", where=move.new, fix="give the native wheel for the dependent's platform"
    )
