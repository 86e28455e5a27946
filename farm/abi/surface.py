"""What a built library shows: its exported symbols, its class of platforms, and the headers that go with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from farm.abi import layouts
from farm.model.abi import AbiLibrary, AbiSymbol
from farm.model.binary import Linkage, Symbol
from farm.model.mangling import PLAIN, Mangling, is_cxx

# Data whose size programs may know: they may hold a copy of it.
_SIZED = frozenset({"object", "tls"})
LINKERS_OWN = frozenset({"__dso_handle", "_mh_dylib_header"})
"""Names that the linker for Mach-O exports from every library."""

_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.+?)[ \t]*(?:/\*.*)?$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_PASTING = re.compile(r"^[ \t]*#[ \t]*define[ \t]+\w+\(([^)]*)\)(.*##.*)$", re.MULTILINE)
_BEFORE = re.compile(r"([A-Za-z_]\w*)[ \t]*##")
_BEHIND = re.compile(r"##[ \t]*(\w+)")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ENUMERATION = re.compile(r"\benum\b[^{}();#]*\{([^{}#]*)\}")
_INTEGER = re.compile(r"\(?(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)[uUlL]*(?:[ \t]*<<[ \t]*(\d{1,2}))?\)?")
_LITERAL = re.compile(r"\(?[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)[uUlLfF]*\)?|\"[ !#-~]*\"|'[ -~]'")


TYPES_SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "elf32": ("elf32",),
    "elf64": ("elf64",),
    "macho64": ("elf64",),
    "pe32": ("elf32",),
    "pe64": ("elf64", "elf32"),
}
"""The classes whose types, taken together, show every change of a type on a class. Typedefs are resolved, so what is
the same to one data model may be another type to the next: ``long`` to ``int64_t`` is no change where ``long`` has 64
bits, and ``unsigned`` to ``size_t`` none where pointers have 32. 64-bit Windows has a ``long`` of 32 bits and pointers
of 64."""


def class_of(linkage: Linkage) -> str:
    """The class of platforms that a binary stands for."""
    return class_for(linkage.format, linkage.bits)


def class_for(binary_format: str, bits: int) -> str:
    """The class of platforms with a format of binaries and the size of a pointer: ``elf64``."""
    return f"{binary_format}{bits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The names of symbols that headers may say: `words` of theirs, and names of which they have one end, to which a
    macro puts the rest: ``#define T(name) t_##name``."""

    words: frozenset[str]
    begins: tuple[str, ...]
    ends: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.words or name.startswith(self.begins) or name.endswith(self.ends)

    def under(self, mangling: Mangling) -> Named:
        """The same, as a library exports them."""
        return Named(
            words=frozenset(map(mangling, self.words)),
            begins=tuple(mangling.prefix + begin for begin in self.begins),
            ends=tuple(end + mangling.suffix for end in self.ends),
        )


def symbols_of(linkage: Linkage, named: Named, mangling: Mangling = PLAIN) -> AbiLibrary:
    """A library as its exports alone tell; nothing about types. `named` is what its headers say, of which `mangling`
    makes the names that it exports."""
    named = named.under(mangling) if mangling else named
    return AbiLibrary(
        symbols=tuple(sorted(_symbol(symbol, named) for symbol in linkage.exports if symbol.name not in LINKERS_OWN))
    )


def without(library: AbiLibrary, internal: Iterable[str]) -> AbiLibrary:
    """A library but for the exported names that match one of the globs, and for types that only these lead to."""
    globs = tuple(internal)
    if not globs:
        return library

    def stays(name: str) -> bool:
        return not any(fnmatchcase(name, glob) for glob in globs)

    left = replace(
        library,
        symbols=tuple(symbol for symbol in library.symbols if stays(symbol.name)),
        functions={name: type_ for name, type_ in library.functions.items() if stays(name)},
        variables={name: type_ for name, type_ in library.variables.items() if stays(name)},
    )
    return replace(left, types=layouts.reachable(left))


def _symbol(symbol: Symbol, named: Named) -> AbiSymbol:
    data = symbol.kind in _SIZED
    return AbiSymbol(
        name=symbol.name,
        version=symbol.version,
        kind=symbol.kind,
        size=symbol.size if data else 0,
        # No header says the mangled name of a variable or a vtable of C++; programs may know its size all the same.
        private=data and not is_cxx(symbol.name) and symbol.name not in named,
    )


def names_in(headers: Iterable[Path]) -> Named:
    """The names of symbols that headers may say."""
    texts = [path.read_text("utf-8", "replace").replace("\\\n", " ") for path in headers]
    begins: set[str] = set()
    ends: set[str] = set()
    for parameters, body in (match.groups() for text in texts for match in _PASTING.finditer(text)):
        given = set(_WORD.findall(parameters))
        begins.update(word for word in _BEFORE.findall(body) if word not in given)
        ends.update(word for word in _BEHIND.findall(body) if word not in given)
    words = frozenset(word for text in texts for word in _WORD.findall(text))
    return Named(words=words, begins=tuple(begins), ends=tuple(ends))


def headers_of(folder: Path, headers: Iterable[Path]) -> Mapping[str, Mapping[str, str]]:
    """Each header by its path below the folder, with the macros that it defines as a plain number or text and the
    constants of its enumerations.

    Programs carry such values in them, so a change is worth telling; it is no change of the binary interface. What
    depends on other macros is left out: its value is not one.
    """
    return {str(path.relative_to(folder)): _constants(path) for path in sorted(headers)}


def _constants(header: Path) -> Mapping[str, str]:
    text = header.read_text("utf-8", "replace").replace("\\\n", " ")
    seen: dict[str, set[str]] = {}
    literal = ((name, value) for name, value in _MACRO.findall(text) if _LITERAL.fullmatch(value))
    others = ((name, "") for name, value in _MACRO.findall(text) if not _LITERAL.fullmatch(value))
    for name, value in (*literal, *others, *_enumerators(_COMMENT.sub(" ", text))):
        seen.setdefault(name, set()).add(value)
    return {name: value for name, values in sorted(seen.items()) for value in values if value and len(values) == 1}


def _enumerators(text: str) -> Iterator[tuple[str, str]]:
    """The constants whose values can be told without a preprocessor."""
    for body in _ENUMERATION.findall(text):
        follows: int | None = 0
        for item in body.split(","):
            name, given, value = (part.strip() for part in item.partition("="))
            number = _number(value) if given else follows
            number = number if _WORD.fullmatch(name) else None
            if number is not None:
                yield name, str(number)
            follows = None if number is None else number + 1


def _number(text: str) -> int | None:
    found = _INTEGER.fullmatch(text)
    if found is None:
        return None
    sign, digits, shift = found.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return int(f"{sign}{digits}", base) << int(shift or 0)
