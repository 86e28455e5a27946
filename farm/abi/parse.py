"""Read ABIs back from their text (`farm.abi.text`).

The files are in version control and edited by people and merges, so every fault is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from farm.abi.text import FORMAT, PRIVATE, SIGNATURE, TYPED
from farm.errors import CatalogError
from farm.model.abi import Abi, AbiFunction, AbiLibrary, AbiMember, AbiSymbol, AbiType

_HEAD = ("abi", "recipe", "release", "epoch", "platform", "class")
FIX = "take the file from version control; or remove it and write it anew: `farm abi accept`"
_KINDS = frozenset({"func", "object", "tls", "ifunc", "other"})
_SHOWN = 20  # characters of what is wrong: a damaged file may be one long line
_EPOCH = re.compile(r"[1-9]\d?")


def read(text: str, where: str) -> Abi:
    """The ABI that a text stands for. Raises CatalogError with file and line."""
    lines = _Lines(text, where)
    format_ = lines.word(_HEAD[0])
    if format_ != FORMAT:
        raise lines.error(f"is of format {format_[:_SHOWN]!r}, this farm reads {FORMAT}")
    recipe, release, epoch, platform, abi_class = (lines.word(name) for name in _HEAD[1:])
    if not _EPOCH.fullmatch(epoch):
        raise lines.error(f"has {epoch[:_SHOWN]!r} for an epoch, which is a number from 1 to 99")
    draft = _Draft()
    for line in lines:
        word, _, rest = line.partition(" ")
        reader = _READERS.get(word)
        if reader is None:
            raise lines.error(f"begins with {word[:_SHOWN]!r}, which is none of {', '.join(_READERS)}")
        try:
            reader(draft, rest, lines)
        except (ValueError, IndexError, KeyError) as error:
            raise lines.error("is not complete, or is there twice") from error
    if not draft.libraries:
        raise lines.error("ends without a library")
    libraries = {name: library.finished() for name, library in draft.libraries.items()}
    return Abi(
        recipe=recipe,
        release=release,
        epoch=int(epoch),
        platform=platform,
        abi_class=abi_class,
        libraries=libraries,
        headers=draft.headers,
    )


@dataclass(slots=True, kw_only=True)
class _Library:
    typed: bool
    symbols: dict[str, AbiSymbol] = field(default_factory=dict)  # by name and version
    functions: dict[str, AbiFunction] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    types: dict[str, AbiType] = field(default_factory=dict)

    def finished(self) -> AbiLibrary:
        return AbiLibrary(
            symbols=tuple(sorted(self.symbols.values())),
            functions=self.functions,
            variables=self.variables,
            types=self.types,
            typed=self.typed,
        )


@dataclass(slots=True)
class _Draft:
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    libraries: dict[str, _Library] = field(default_factory=dict)

    @property
    def library(self) -> _Library:
        """The one that lines belong to. Raises KeyError before the first."""
        return self.libraries[next(reversed(self.libraries), "")]


class _Lines:
    """The lines of a text, with their numbers for errors."""

    def __init__(self, text: str, where: str) -> None:
        self.lines, self.where, self.number = text.removesuffix("\n").split("\n"), where, 0

    def __iter__(self) -> Iterator[str]:
        while self.number < len(self.lines):
            yield self.next()

    def next(self) -> str:
        self.number += 1
        return self.lines[self.number - 1]

    def indented(self) -> Iterator[str]:
        """The lines that belong to the one before."""
        while self.number < len(self.lines) and self.lines[self.number].startswith("  "):
            yield self.next()[2:]

    def word(self, name: str) -> str:
        """The word behind a name that must come now."""
        found, _, word = (self.next() if self.number < len(self.lines) else "").partition(" ")
        if found != name or not word:
            raise self.error(f"is not `{name} ...`, as a description of an ABI begins")
        return word

    def error(self, why: str) -> CatalogError:
        return CatalogError([f"{self.where}:{max(1, self.number)}: {why}"], fix=FIX)


def _header(draft: _Draft, rest: str, lines: _Lines) -> None:
    _new(draft.headers, rest)
    draft.headers[rest] = _equations(lines)


def _library(draft: _Draft, rest: str, _lines: _Lines) -> None:
    name, _, typed = rest.partition(" ")
    _new(draft.libraries, name)
    if typed not in ("", TYPED):
        raise ValueError(typed)
    draft.libraries[name] = _Library(typed=typed == TYPED)


def _symbol(draft: _Draft, rest: str, _lines: _Lines) -> None:
    name, kind, *more = rest.split(" ")
    facts = dict(_pair(word, "=") for word in more if word != PRIVATE)
    if kind not in _KINDS or facts.keys() - {"size", "version"} or not facts.get("size", "0").isdecimal():
        raise ValueError(rest)
    symbol = AbiSymbol(
        name=name,
        kind=kind,
        size=int(facts.get("size", "0")),
        version=facts.get("version", ""),
        private=PRIVATE in more,
    )
    id_ = f"{symbol.name}@{symbol.version}"
    _new(draft.library.symbols, id_)
    draft.library.symbols[id_] = symbol


def _function(draft: _Draft, rest: str, _lines: _Lines) -> None:
    name, text = _pair(rest, SIGNATURE)
    _new(draft.library.functions, name)
    draft.library.functions[name] = function(text)


def function(text: str) -> AbiFunction:
    """The signature that `farm.abi.text.signature` wrote. Raises ValueError, IndexError."""
    if not text.endswith(")"):
        raise ValueError(text)
    start = _opening(text)
    parameters = list(_parts(text[start + 1 : -1]))
    variadic = parameters[-1:] == ["..."]
    kept = parameters[:-1] if variadic else [] if parameters == ["void"] else parameters
    return AbiFunction(result=text[:start].rstrip(), parameters=tuple(kept), variadic=variadic)


def _opening(text: str) -> int:
    """Where the last pair of brackets opens."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if not depth:
            return at
    raise ValueError(text)


def _parts(text: str) -> Iterator[str]:
    """What commas separate that are in no brackets."""
    depth = start = 0
    for at, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
    yield text[start:].strip()


def _variable(draft: _Draft, rest: str, _lines: _Lines) -> None:
    name, type_ = _pair(rest, SIGNATURE)
    _new(draft.library.variables, name)
    draft.library.variables[name] = type_


def _type(draft: _Draft, rest: str, lines: _Lines) -> None:
    name, _, size = rest.rpartition(" ")
    _new(draft.library.types, name)
    if name.startswith("enum "):
        values = {key: int(value) for key, value in _equations(lines).items()}
        draft.library.types[name] = AbiType(size=int(size), values=values)
    else:
        draft.library.types[name] = AbiType(size=int(size), members=tuple(map(_member, lines.indented())))


def _equations(lines: _Lines) -> dict[str, str]:
    """Macros or constants with their values. Raises ValueError for one that is there twice."""
    found: dict[str, str] = {}
    for line in lines.indented():
        name, value = _pair(line, " = ")
        _new(found, name)
        found[name] = value
    return found


def _member(line: str) -> AbiMember:
    left, type_ = _pair(line, SIGNATURE)
    offset, _, name = left.partition(" ")
    return AbiMember(name=name, type=type_, offset=int(offset))


def _new(there: Mapping[str, object], name: str) -> None:
    """A name must be there once. Raises ValueError."""
    if not name or name in there:
        raise ValueError(name)


def _pair(text: str, separator: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not found:
        raise ValueError(text)
    return left, right


_READERS: dict[str, Callable[[_Draft, str, _Lines], None]] = {
    "header": _header,
    "library": _library,
    "symbol": _symbol,
    "function": _function,
    "variable": _variable,
    "type": _type,
}
