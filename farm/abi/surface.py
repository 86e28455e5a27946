"""What a built library shows: its exported symbols and its class of platforms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from farm.abi import layouts
from farm.abi.header_text import Named
from farm.model.abi import AbiLibrary, AbiSymbol
from farm.model.binary import Linkage, Symbol
from farm.model.mangling import PLAIN, Mangling, is_cxx

# Data whose size programs may know: they may hold a copy of it.
_SIZED = frozenset({"object", "tls"})
LINKERS_OWN = frozenset({"__dso_handle", "_mh_dylib_header"})
"""Names that the linker for Mach-O exports from every library."""

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
