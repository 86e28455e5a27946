"""The binary formats as one table: which format a file has, and who reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from farm.binary import elf, macho, macho_format, pe
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat, Linkage


class Reader(Protocol):
    """A module (or object) that reads one format."""

    def read(self, data: bytes | memoryview, name: str) -> Linkage:
        """Raises BinaryFormatError if the data is damaged."""
        ...


READERS: dict[BinaryFormat, Reader] = {
    BinaryFormat.ELF: elf,
    BinaryFormat.PE: pe,
    BinaryFormat.MACHO: macho,
}
HEAD_SIZE = 4096


def detect(head: bytes) -> BinaryFormat | None:
    """The format of a file from its first bytes (4096 are always enough), None if it is no binary."""
    if head.startswith(b"\x7fELF"):
        return BinaryFormat.ELF
    if head[:4] in macho_format.MAGICS or _is_fat_macho(head):
        return BinaryFormat.MACHO
    if head.startswith(b"MZ"):
        at = int.from_bytes(head[0x3C:0x40], "little")
        if head[at : at + 4] == b"PE\0\0":
            return BinaryFormat.PE
    return None


def _is_fat_macho(head: bytes) -> bool:
    """A magic is shared with Java classes, which have a version number of 45 or more where this has a count."""
    return head[:4] in macho_format.FAT_SLICES and 0 < int.from_bytes(head[4:8], "big") < macho_format.MOST_SLICES


def read_bytes(data: bytes | memoryview, name: str) -> Linkage | None:
    """The linkage of a binary, None if it is no binary. Raises BinaryFormatError if it is damaged."""
    format_ = detect(bytes(data[:HEAD_SIZE]))
    return None if format_ is None else READERS[format_].read(data, name)


def read_file(path: Path, name: str | None = None) -> Linkage | None:
    """The linkage of a file, None if it is no binary. `name` replaces the path in messages."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_SIZE)
            if detect(head) is None:
                return None
            data = head + stream.read()
    except OSError as error:
        raise BinaryFormatError(
            f"cannot be read: {error.strerror}", where=name or str(path), fix="check the path and who may read the file"
        ) from error
    return read_bytes(data, name or str(path))
