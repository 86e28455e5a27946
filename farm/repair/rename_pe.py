"""Rename needed DLLs of a PE file where its import tables name them, for names of the same length.

Not another byte changes but the image's checksum, if the linker made one. Source: "PE Format" in the Windows
documentation.
"""

from __future__ import annotations

from collections.abc import Mapping

from farm.binary import pe_format as pe
from farm.binary.lookup import LOOKUPS
from farm.binary.pe_file import PeFile
from farm.binary.pe_symbols import needed_names
from farm.errors import GateError
from farm.model.binary import BinaryFormat
from farm.repair.move import BUILD_INSTEAD, Move

_OBSTACLES = {
    pe.CERTIFICATE_TABLE: "is signed with a certificate, so only its owner can change it",
    pe.BOUND_IMPORT_TABLE: "is bound to the addresses of the libraries that it was linked with",
}


def renamed(content: bytes, moves: Mapping[str, Move], name: str) -> bytes:
    """The file with the new names. Raises BinaryFormatError if it is damaged, GateError if it is signed or bound."""
    data = bytearray(content)
    file = PeFile(memoryview(data), name)
    for directory, obstacle in _OBSTACLES.items():
        if file.directory(directory)[0]:
            raise GateError(obstacle, where=name, fix=BUILD_INSTEAD)
    key = LOOKUPS[BinaryFormat.PE].key
    for address in set(needed_names(file)):
        move = moves.get(key(file.text(address, "a needed library's name")))
        if move is not None:
            start, _ = file.extent(address, "a needed library's name")
            data[start : start + len(move.old)] = move.new.encode()
    _renew_checksum(data, file.checksum_at)
    return bytes(data)


def _renew_checksum(data: bytearray, at: int) -> None:
    """The sum of all 16-bit words with the carries added, plus the file's size; linkers may leave it 0."""
    if not any(data[at : at + pe.WORD.size]):
        return
    data[at : at + pe.WORD.size] = bytes(pe.WORD.size)
    total = sum(word for (word,) in pe.HALF.iter_unpack(bytes(data) + bytes(len(data) % pe.HALF.size)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    pe.WORD.pack_into(data, at, total + len(data))
