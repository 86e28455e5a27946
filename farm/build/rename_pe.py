"""Other names for symbols of COFF objects, and in what they tell the linker (``.drectve``: exports of their own)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from farm.binary import coff_object
from farm.binary import pe_format as pe
from farm.binary.bounded import Bounded, Strings
from farm.build.rename_values import Added, Names, Renamer
from farm.errors import BuildError

_SHORT = 8  # bytes of a name that lie in the symbol's row
_SIZE, _OFFSET = 3, 4  # fields of a section header
_DIRECTIVES = b".drectve"
# -export:name,data  /EXPORT:"name"  -aligncomm:"_name",4
_WORD = re.compile(r'[-/](?P<option>[A-Za-z-]+):(?P<value>(?:"[^"]*"|[^\s"])*)')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$@?.]*")
# Option -> whether it has names as in C, or with the underscore of 32-bit Windows as symbols have them
_OPTIONS = {"export": True, "exclude-symbols": True, "aligncomm": False, "include": False, "alternatename": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where the tables of an object are: the sections' headers, the symbols, and `pointer`, which says where those
    are."""

    layout: pe.ObjectLayout
    pointer: int
    sections_at: int
    sections: int
    symbols_at: int
    symbols: int

    @property
    def headers_end(self) -> int:
        """The end of the sections' headers."""
        return self.sections_at + self.sections * pe.SECTION.size


def rename(data: memoryview, where: str, names: Names) -> bytes:
    """The object with other names for its external symbols, defined or not. Raises as `Renamer` says."""
    file = Bounded(data, where)
    frame = _frame(file)
    if frame is None:
        return _imported(file, names)
    if not frame.symbols:
        return bytes(data)
    end = frame.symbols_at + frame.symbols * frame.layout.symbol.size
    (size,) = file.row(pe.WORD, end, "the string table")
    content = bytes(file.span(end, max(size, pe.WORD.size), "the string table"))
    added = Added(content)
    rows = _rows(file, frame, Strings(file, content, "a symbol name"), added, names)
    is_last = frame.headers_end <= frame.symbols_at and end + len(content) == len(data)
    made = bytearray(data[: frame.symbols_at] if is_last else data)
    _direct(made, file, frame, names)
    pe.WORD.pack_into(made, frame.pointer, len(made))
    table = bytearray(added.table())
    pe.WORD.pack_into(table, 0, len(table))
    return bytes(made) + rows + bytes(table)


def _frame(file: Bounded) -> _Frame | None:
    """None for a short import object, which has no tables."""
    if bytes(file.data[:4]) != pe.NOT_PLAIN:
        layout, pointer = pe.COFF_OBJECT, 8
        sections, at, count, gap = file.row(layout.header, 0, "the COFF header")
    elif bytes(file.data[pe.BIG_OBJECT_CLASS_AT : pe.BIG_OBJECT_CLASS_AT + 16]) == pe.BIG_OBJECT_CLASS:
        layout, pointer, gap = pe.BIG_OBJECT, 48, 0
        sections, at, count = file.row(layout.header, 0, "the COFF header")
    else:
        return None
    return _Frame(
        layout=layout,
        pointer=pointer,
        sections_at=layout.header.size + gap,
        sections=sections,
        symbols_at=at,
        symbols=count,
    )


def _imported(file: Bounded, names: Names) -> bytes:
    """A short import object stands for what is in another DLL, which has the names it has."""
    for name, _ in coff_object.defined(file.data, file.name):
        if names.new(name, file.name) is not None:
            raise BuildError(
                f"imports {name} from another DLL, so it cannot get another name",
                where=file.name,
                fix="leave it out of [[products.library]] exports",
            )
    return bytes(file.data)


def _rows(file: Bounded, frame: _Frame, strings: Strings, added: Added, names: Names) -> bytes:
    """The symbol table with other names; auxiliary records stay as they are."""
    size = frame.layout.symbol.size
    made = bytearray(file.span(frame.symbols_at, frame.symbols * size, "the symbol table"))
    number = 0
    while number < frame.symbols:
        raw, _, _, _, storage, auxiliaries = frame.layout.symbol.unpack_from(made, number * size)
        if storage in (pe.SYM_EXTERNAL, pe.SYM_WEAK) and any(raw):
            new = names.new(coff_object.name_of(raw, strings), file.name)
            if new is not None:
                made[number * size : number * size + _SHORT] = _raw(new, added)
        number += 1 + auxiliaries
    return bytes(made)


def _raw(name: str, added: Added) -> bytes:
    encoded = name.encode("utf-8")
    return encoded.ljust(_SHORT, b"\0") if len(encoded) <= _SHORT else bytes(4) + pe.WORD.pack(added.place(name))


def _directives(file: Bounded, frame: _Frame) -> Iterator[tuple[int, str]]:
    """(place of the section's header, text) of each section that the linker reads."""
    for number in range(frame.sections):
        at = frame.sections_at + number * pe.SECTION.size
        row = file.row(pe.SECTION, at, "the section table")
        if row[0].rstrip(b"\0") == _DIRECTIVES:
            yield at, bytes(file.span(row[_OFFSET], row[_SIZE], "what it tells the linker")).decode("utf-8", "replace")


def _direct(made: bytearray, file: Bounded, frame: _Frame, names: Names) -> None:
    """What it tells the linker, with other names: at the end of the file if anything changed."""
    for at, text in _directives(file, frame):
        new = _WORD.sub(lambda word: _renamed(word, names), text)
        if new != text:
            row = list(pe.SECTION.unpack_from(made, at))
            content = new.encode("utf-8")
            row[_SIZE], row[_OFFSET] = len(content), len(made)
            pe.SECTION.pack_into(made, at, *row)
            made += content


def _renamed(word: re.Match[str], names: Names) -> str:
    in_c = _OPTIONS.get(word["option"].lower())
    if in_c is None:
        return word[0]
    known: Callable[[str], str] = names.in_c if in_c else lambda name: names.renamed.get(name, name)
    before = word[0][: word.start("value") - word.start()]
    return before + _NAME.sub(lambda name: known(name[0]), word["value"])


def _exported(data: memoryview, where: str) -> Iterator[str]:
    """Names in C that the object exports by itself: what its sources mark `dllexport`."""
    file = Bounded(data, where)
    frame = _frame(file)
    for _, text in _directives(file, frame) if frame is not None else ():
        for word in _WORD.finditer(text):
            name = _NAME.search(word["value"]) if word["option"].lower() == "export" else None
            if name is not None:
                yield name[0]


RENAMER = Renamer(fits=coff_object.is_coff, rename=rename, exported=_exported)
