"""The members and the index of a static archive (``ar``), in the forms of GNU, BSD, macOS and Windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from farm.binary.bounded import Bounded, Strings

MAGIC = b"!<arch>\n"
_THIN = b"!<thin>\n"
_HEADER = Struct("16s32x10s2s")  # name, (date, owner, group, mode), size, end
_END = b"`\n"
_BSD_LONG = "#1/"
_LONG_NAMES = "//"
# Name of the member that holds the index -> layout of one of its numbers
_GNU_INDEX = {"/": Struct(">I"), "/SYM64/": Struct(">Q")}
_BSD_INDEX = {
    "__.SYMDEF": Struct("<I"),
    "__.SYMDEF SORTED": Struct("<I"),
    "__.SYMDEF_64": Struct("<Q"),
    "__.SYMDEF_64 SORTED": Struct("<Q"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in the archive; `at` is the offset of its header, by which the index names it."""

    name: str
    at: int
    data: memoryview


class Archive(Bounded):
    """A static archive. `members` are its object files; `index` the symbols that the archiver noted for each.

    Raises BinaryFormatError from the constructor if the archive is damaged or thin. An archive without an index has
    an empty one.
    """

    fix = "build the archive again with `ar rcs`"

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        super().__init__(data, name)
        head = bytes(self.data[: len(MAGIC)])
        if head == _THIN:
            raise self.error("is a thin archive: it has only the names of its object files")
        if head != MAGIC:
            raise self.error("is not a static archive")
        self.index: dict[int, tuple[str, ...]] = {}
        self._long_names = Strings(self, b"", "a member's name")
        self.members = tuple(self._members())

    def _members(self) -> Iterator[Member]:
        at, seen_index = len(MAGIC), False
        while at < len(self.data):
            member, end = self._member(at)
            if member.name == _LONG_NAMES:
                # Windows ends each name with a NUL, GNU with a slash and a line feed.
                names = bytes(member.data).replace(b"/\n", b"\0\0").replace(b"\n", b"\0") + b"\0"
                self._long_names = Strings(self, names, "a member's name")
            elif member.name in _GNU_INDEX or member.name in _BSD_INDEX:
                if not seen_index:  # Windows libraries have a second one, which says the same in another form
                    self.index = _by_member(self._index_rows(member))
                seen_index = True
            elif not member.name.startswith("/<"):
                yield member
            at = end + end % 2

    def _member(self, at: int) -> tuple[Member, int]:
        raw, size_text, end_mark = self.row(_HEADER, at, "a member's header")
        if end_mark != _END or not size_text.strip().isdigit():
            raise self.error(f"has no member's header at {at:#x}, where one should be")
        size, body = int(size_text), at + _HEADER.size
        data = self.span(body, size, "a member")
        name = raw.decode("ascii", "backslashreplace").rstrip(" ")
        if name.startswith(_BSD_LONG):
            name, data = self._bsd_name(name, data)
        elif name[:1] == "/" and name[1:].isdecimal():
            name = self._long_names.at(int(name[1:]))
        elif name not in _GNU_INDEX and name != _LONG_NAMES:
            name = name.removesuffix("/")
        return Member(name=name, at=at, data=data), body + size

    def _bsd_name(self, name: str, data: memoryview) -> tuple[str, memoryview]:
        """BSD and macOS put a long name in front of the member's content."""
        length = name[len(_BSD_LONG) :]
        if not length.isdecimal() or int(length) > len(data):
            raise self.error(f"lies: a member has the name {name!r}, longer than the member")
        size = int(length)
        return bytes(data[:size]).rstrip(b"\0").decode("utf-8", "backslashreplace"), data[size:]

    def _index_rows(self, member: Member) -> Iterator[tuple[int, str]]:
        if member.name in _GNU_INDEX:
            return self._gnu_index(member, _GNU_INDEX[member.name])
        return self._bsd_index(member, _BSD_INDEX[member.name])

    def _gnu_index(self, member: Member, number: Struct) -> Iterator[tuple[int, str]]:
        """A count, the offsets, and as many names one after the other."""
        table = Bounded(member.data, self.name)
        (count,) = table.row(number, 0, "the archive's index")
        offsets = table.rows(number, number.size, count, "the archive's index")
        names = bytes(table.data[number.size * (count + 1) :]).split(b"\0", count)
        if len(names) < count:
            raise self.error(f"lies: its index has {count} symbols and {len(names)} names")
        for (offset,), name in zip(offsets, names, strict=False):
            yield offset, name.decode("utf-8", "backslashreplace")

    def _bsd_index(self, member: Member, number: Struct) -> Iterator[tuple[int, str]]:
        """The size of the rows, rows of (place of the name, offset), the size of the names, the names."""
        table = Bounded(member.data, self.name)
        row = Struct(f"{number.format[:1]}{number.format[1:] * 2}")
        (size,) = table.row(number, 0, "the archive's index")
        rows = table.rows(row, number.size, size // row.size, "the archive's index")
        (names_size,) = table.row(number, number.size + size, "the archive's index")
        names = bytes(table.span(2 * number.size + size, names_size, "the names of the archive's index"))
        strings = Strings(self, names, "a symbol name")
        for name_at, offset in rows:
            yield offset, strings.at(name_at)


def _by_member(rows: Iterator[tuple[int, str]]) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for offset, name in rows:
        found.setdefault(offset, []).append(name)
    return {offset: tuple(names) for offset, names in found.items()}
