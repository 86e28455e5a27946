"""What differs between two wheels that should be the same: for people who look for the cause."""

from __future__ import annotations

import filecmp
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from farm.binary import formats
from farm.binary.elf_file import ElfFile
from farm.binary.macho_file import MachoFile
from farm.binary.pe_file import PeFile
from farm.errors import FarmError
from farm.model.binary import BinaryFormat
from farm.wheel.archive import WheelArchive


class Part(NamedTuple):
    """A section of a binary: its name, and from where to where in the file it is."""

    name: str
    start: int
    end: int


def differences(one: Path, other: Path) -> tuple[str, ...]:
    """What differs between two wheels, a sentence per member; RECORD, which only lists the others, last. Empty if the
    files are the same, byte for byte.

    Raises BinaryFormatError for a file that is no wheel.
    """
    if filecmp.cmp(one, other, shallow=False):
        return ()
    with WheelArchive.open(one) as a, WheelArchive.open(other) as b:
        names = sorted(a.members.keys() | b.members.keys(), key=lambda name: (name.endswith("/RECORD"), name))
        found = tuple(what for name in names if (what := _of_member(a, b, name)))
    return found or ("the archive itself: order, dates or compression of its members",)


def _of_member(a: WheelArchive, b: WheelArchive, name: str) -> str:
    if name not in a.members or name not in b.members:
        return f"{name} is in one of them only"
    one, other = a.read(name), b.read(name)
    return "" if one == other else f"{name}: {_difference(one, other)}"


def _difference(one: bytes, other: bytes) -> str:
    if len(one) != len(other):
        return f"{len(one)} bytes against {len(other)}"
    first = next(at for at, (x, y) in enumerate(zip(one, other, strict=True)) if x != y)
    wrong = sum(map(operator.ne, one, other))
    return f"{wrong} of {len(one)} bytes, the first at {first:#x} ({_part(one, first)})"


def _part(data: bytes, at: int) -> str:
    """The section of a binary that a byte lies in."""
    format_ = formats.detect(data[: formats.HEAD_SIZE])
    if format_ is None:
        return "text"
    try:
        parts = list(_PARTS[format_](data))
    except FarmError as error:
        return str(error)
    return next((part.name for part in parts if part.start <= at < part.end), "between its sections")


def _elf(data: bytes) -> Iterator[Part]:
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in ElfFile(data, "").sections)


def _pe(data: bytes) -> Iterator[Part]:
    sections = PeFile(data, "").sections
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in sections)
    yield Part("headers", 0, min((s.offset for s in sections if s.offset), default=0))


def _macho(data: bytes) -> Iterator[Part]:
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in MachoFile(data, "").sections if s.offset)
    yield from (Part(s.name, s.offset, s.offset + s.size) for s in MachoFile(data, "").segments)


_PARTS: dict[BinaryFormat, Callable[[bytes], Iterator[Part]]] = {
    BinaryFormat.ELF: _elf,
    BinaryFormat.PE: _pe,
    BinaryFormat.MACHO: _macho,
}
