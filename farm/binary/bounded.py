"""Bytes of a file in which nothing is believed: the base of every reader of a binary format.

Every offset, size and count is checked against the file before it is used, so a file that is cut short or lies ends
in `BinaryFormatError` with the file's name and the fact, whatever its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any, Protocol

from farm.errors import BinaryFormatError

_SMALL_TABLE = 1 << 20


class Faulty(Protocol):
    """Something that can be at fault and knows its own name."""

    def error(self, fact: str) -> BinaryFormatError: ...


class Bounded:
    """The bytes of one file (or one part of it) with its name for messages; offsets and sizes are in bytes."""

    fix = "build or fetch the file again"

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        self.data = memoryview(data)
        self.name = name

    def error(self, fact: str) -> BinaryFormatError:
        """A BinaryFormatError about this file, to be raised."""
        return BinaryFormatError(fact, where=self.name, fix=self.fix)

    def span(self, offset: int, size: int, what: str) -> memoryview:
        """`size` bytes at file offset `offset`, or BinaryFormatError if they are not all there."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise self.error(
                f"is cut short or lies: {what} should be {size} bytes at {offset:#x}, file has {len(self.data)}"
            )
        return self.data[offset : offset + size]

    def row(self, layout: Struct, offset: int, what: str) -> tuple[Any, ...]:
        """The fields of one record at a file offset."""
        return layout.unpack(self.span(offset, layout.size, what))

    def rows(self, layout: Struct, offset: int, count: int, what: str) -> Iterator[tuple[Any, ...]]:
        """The fields of `count` records side by side."""
        return layout.iter_unpack(self.span(offset, count * layout.size, what))


class Strings:
    """A table of NUL-terminated strings.

    What all lookups together may cost is bounded, so that no table of names can exhaust memory.
    """

    def __init__(self, file: Faulty, table: bytes, what: str) -> None:
        self._file = file
        self._table = table
        self._what = what
        self._budget = 16 * len(table) + _SMALL_TABLE

    def at(self, offset: int) -> str:
        """The NUL-terminated string at `offset`; bytes that are no UTF-8 are shown escaped."""
        end = self._table.find(b"\0", offset) if 0 <= offset < len(self._table) else -1
        if end < 0:
            raise self._file.error(
                f"lies: {self._what} at {offset:#x} is outside its string table of {len(self._table)} bytes"
            )
        self._budget -= end - offset
        if self._budget < 0:
            raise self._file.error(f"lies: its names ({self._what} ...) overlap many times over")
        return self._table[offset:end].decode("utf-8", "backslashreplace")
