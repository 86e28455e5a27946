"""Rename needed libraries of an ELF file in its string table, for names of the same length; not another byte changes.

Names of needed libraries stand in DT_NEEDED and, where their symbols have versions, in DT_VERNEED. Sources: System V
gABI, chapter "Dynamic Section"; Linux Standard Base, "Symbol Versioning".
"""

from __future__ import annotations

from collections.abc import Mapping

from farm.binary import elf_format as elf
from farm.binary.elf_dynamic import dynamic_of
from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import version_files
from farm.repair.move import Move


def renamed(content: bytes, moves: Mapping[str, Move], name: str) -> bytes:
    """The file with the new names. Raises BinaryFormatError if it is damaged."""
    data = bytearray(content)
    file = ElfFile(memoryview(data), name)
    dynamic = dynamic_of(file)
    for at in {*dynamic.needed, *version_files(file, dynamic)}:
        move = moves.get(dynamic.strings.at(at))
        if move is not None:
            start = file.offset_of(dynamic.entries[elf.DT_STRTAB] + at, "a needed library's name")
            data[start : start + len(move.old)] = move.new.encode()
    return bytes(data)
