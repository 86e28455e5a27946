"""What a built library shows: its exported symbols, its class of platforms, and the headers that go with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from farm.model.abi import AbiLibrary, AbiSymbol
from farm.model.binary import Linkage, Symbol
from farm.model.mangling import PLAIN, Mangling

# Data whose size programs may know: they may hold a copy of it.
_SIZED = frozenset({"object", "tls"})
LINKERS_OWN = frozenset({"__dso_handle", "_mh_dylib_header"})
"""Names that the linker for Mach-O exports from every library."""

_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.+?)[ \t]*(?:/\*.*)?$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LITERAL = re.compile(r"\(?[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)[uUlLfF]*\)?|\"[ !#-~]*\"|'[ -~]'")


def class_of(linkage: Linkage) -> str:
    """The class of platforms that a binary stands for."""
    return class_for(linkage.format, linkage.bits)


def class_for(binary_format: str, bits: int) -> str:
    """The class of platforms with a format of binaries and the size of a pointer: ``elf64``."""
    return f"{binary_format}{bits}"


def symbols_of(linkage: Linkage, named: frozenset[str], mangling: Mangling = PLAIN) -> AbiLibrary:
    """A library as its exports alone tell; nothing about types. `named` is every name in its headers, of which
    `mangling` makes the names that it exports."""
    named = frozenset(map(mangling, named)) if mangling else named
    return AbiLibrary(
        symbols=tuple(sorted(_symbol(symbol, named) for symbol in linkage.exports if symbol.name not in LINKERS_OWN))
    )


def without(library: AbiLibrary, internal: Iterable[str]) -> AbiLibrary:
    """A library but for the exported names that match one of the globs."""
    globs = tuple(internal)
    if not globs:
        return library

    def stays(name: str) -> bool:
        return not any(fnmatchcase(name, glob) for glob in globs)

    return replace(
        library,
        symbols=tuple(symbol for symbol in library.symbols if stays(symbol.name)),
        functions={name: type_ for name, type_ in library.functions.items() if stays(name)},
        variables={name: type_ for name, type_ in library.variables.items() if stays(name)},
    )


def _symbol(symbol: Symbol, named: frozenset[str]) -> AbiSymbol:
    data = symbol.kind in _SIZED
    return AbiSymbol(
        name=symbol.name,
        version=symbol.version,
        kind=symbol.kind,
        size=symbol.size if data else 0,
        private=data and symbol.name not in named,
    )


def names_in(headers: Iterable[Path]) -> frozenset[str]:
    """Every word of the headers that could be the name of a symbol."""
    return frozenset(word for path in headers for word in _WORD.findall(path.read_text("utf-8", "replace")))


def headers_of(folder: Path, headers: Iterable[Path]) -> Mapping[str, Mapping[str, str]]:
    """Each header by its path below the folder, with the macros that it defines as a plain number or text.

    Programs carry such values in them, so a change is worth telling; it is no change of the binary interface. What
    depends on other macros is left out: its value is not one.
    """
    return {str(path.relative_to(folder)): _macros(path) for path in sorted(headers)}


def _macros(header: Path) -> Mapping[str, str]:
    text = header.read_text("utf-8", "replace").replace("\\\n", " ")
    seen: dict[str, set[str]] = {}
    for name, value in _MACRO.findall(text):
        seen.setdefault(name, set()).add(value)
    return {
        name: value
        for name, values in sorted(seen.items())
        for value in values
        if len(values) == 1 and _LITERAL.fullmatch(value)
    }
