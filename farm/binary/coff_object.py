"""Symbols of COFF object files: plain ones, big ones (``/bigobj``) and the short ones of import libraries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm.binary import pe_format as pe
from farm.binary.bounded import Bounded, Strings

_ALIASES = 64  # weak symbols may stand for weak symbols, but not for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    value: int
    section: int
    storage: int
    auxiliaries: int


def is_coff(head: bytes) -> bool:
    """Whether a file begins as COFF objects do (they have no magic: the machine must be one that is known)."""
    return head.startswith(pe.NOT_PLAIN) or int.from_bytes(head[:2], "little") in pe.MACHINES


def defined(data: bytes | memoryview, name: str) -> Iterator[tuple[str, str]]:
    """(name, kind) of every external symbol that an object defines; kinds as in `farm.model.binary.Symbol`.

    Names are as in the file: on i686 C names have an underscore in front. Raises BinaryFormatError.
    """
    file = Bounded(data, name)
    if bytes(file.data[:4]) != pe.NOT_PLAIN:
        sections, at, count, gap = file.row(pe.COFF_OBJECT.header, 0, "the COFF header")
        return _defined(file, pe.COFF_OBJECT, pe.COFF_OBJECT.header.size + gap, sections, at, count)
    big_class = bytes(file.data[pe.BIG_OBJECT_CLASS_AT : pe.BIG_OBJECT_CLASS_AT + 16])
    if big_class == pe.BIG_OBJECT_CLASS:
        sections, at, count = file.row(pe.BIG_OBJECT.header, 0, "the COFF header")
        return _defined(file, pe.BIG_OBJECT, pe.BIG_OBJECT.header.size, sections, at, count)
    return _imported(file)


def _imported(file: Bounded) -> Iterator[tuple[str, str]]:
    """What a short import object offers: the symbol's address slot and, for functions, a jump to it."""
    size, type_ = file.row(pe.IMPORT_OBJECT, 0, "the import header")
    text = bytes(file.span(pe.IMPORT_OBJECT.size, size, "the names"))
    name = Strings(file, text, "a symbol name").at(0)
    kind = pe.IMPORT_TYPES.get(type_ & 3, "other")
    yield f"__imp_{name}", "object"
    if kind == "func":
        yield name, kind


def _defined(
    file: Bounded, layout: pe.ObjectLayout, sections_at: int, sections: int, at: int, count: int
) -> Iterator[tuple[str, str]]:
    if not count:
        return
    rows = _rows(file, layout, at, count)
    kinds = [
        _section_kind(row[0], row[-1]) for row in file.rows(pe.SECTION, sections_at, sections, "the section table")
    ]
    for index, row in rows.items():
        if row.storage in (pe.SYM_EXTERNAL, pe.SYM_WEAK) and row.name:
            kind = _kind(file, layout, at, rows, index, kinds)
            if kind:
                yield row.name, kind


def _rows(file: Bounded, layout: pe.ObjectLayout, at: int, count: int) -> dict[int, _Row]:
    """The symbols by index, without their auxiliary records."""
    table = file.rows(layout.symbol, at, count, "the symbol table")
    strings_at = at + count * layout.symbol.size
    (size,) = file.row(pe.WORD, strings_at, "the string table")
    strings = Strings(file, bytes(file.span(strings_at, max(size, pe.WORD.size), "the string table")), "a symbol name")
    rows: dict[int, _Row] = {}
    skip = 0
    for index, (raw, value, section, _, storage, auxiliaries) in enumerate(table):
        if skip:
            skip -= 1
            continue
        skip = auxiliaries
        rows[index] = _Row(
            name=name_of(raw, strings), value=value, section=section, storage=storage, auxiliaries=auxiliaries
        )
    return rows


def name_of(raw: bytes, strings: Strings) -> str:
    """A symbol's name by the first 8 bytes of its row: names up to that length are there, others in a table."""
    if raw.startswith(b"\0\0\0\0"):
        at = int.from_bytes(raw[4:], "little")
        return strings.at(at) if at else ""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _kind(file: Bounded, layout: pe.ObjectLayout, at: int, rows: dict[int, _Row], index: int, kinds: list[str]) -> str:
    """The kind of a symbol; empty if it is not defined here."""
    for _ in range(_ALIASES):
        row = rows.get(index)
        if row is None:
            raise file.error(f"lies: a weak symbol stands for symbol {index}, which does not exist")
        if row.section > 0:
            if row.section > len(kinds):
                raise file.error(f"lies: symbol {row.name} is in section {row.section} of {len(kinds)}")
            return kinds[row.section - 1]
        if row.section < 0:
            return "other"
        if row.storage != pe.SYM_WEAK:
            return "object" if row.value else ""  # a common block, or undefined
        if not row.auxiliaries:
            raise file.error(f"lies: weak symbol {row.name} does not say what it stands for")
        (index,) = file.row(pe.WORD, at + (index + 1) * layout.symbol.size, "a weak symbol")
    raise file.error("lies: weak symbols stand for each other in a circle")


def _section_kind(name: bytes, flags: int) -> str:
    if name.startswith(b".tls"):
        return "tls"
    return "func" if flags & (pe.SECTION_CODE | pe.SECTION_EXECUTE) else "object"
