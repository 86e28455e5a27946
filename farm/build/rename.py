"""Public names that are not those of the sources: `symbol_prefix` and `symbol_suffix` of a recipe's libraries.

The objects of the static archive get the public names before they are linked, wherever they define or use them. So
a symbol stays what it is (its kind and size), every reference inside the library leads where it did, and no linker has
to know of it: docs/decisions/004.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from farm.abi.surface import LINKERS_OWN
from farm.binary import archive_symbols, formats
from farm.binary.archive_file import Archive
from farm.build import rename_elf, rename_macho, rename_pe
from farm.build.link_values import Inputs, Prepared, public
from farm.build.rename_archive import renamed
from farm.build.rename_values import Names, Renamer
from farm.build.result import LinkedLibrary
from farm.errors import BuildError
from farm.model.mangling import is_cxx
from farm.model.shown import some

RENAMERS: Mapping[str, Renamer] = {
    "elf": rename_elf.RENAMER,
    "pe": rename_pe.RENAMER,
    "macho": rename_macho.RENAMER,
}
"""Binary format of a toolchain -> how symbols of its objects get other names."""


def public_names(inputs: Inputs) -> Mapping[str, str]:
    """Name in the sources -> public name, both in C, of what a library exports; empty if both are the same.

    Raises BuildError for C++ names, which no header can give another name, and if nothing is public.
    """
    if not inputs.product.mangling:
        return {}
    names = sorted({*(export.name for export in public(inputs)), *_exported(inputs)})
    cxx = [name for name in names if is_cxx(name)]
    if cxx:
        raise BuildError(
            f"{some(cxx, 3)}: names of C++ have types and classes in them, so they get no prefix or suffix",
            where=inputs.shared_name,
            fix="leave them out of [[products.library]] exports, or leave symbol_prefix and symbol_suffix out",
        )
    return {name: inputs.public_name(name) for name in names}


def _exported(inputs: Inputs) -> Iterable[str]:
    """What the objects export by themselves."""
    renamer = RENAMERS[inputs.toolchain.binary]
    archive = Archive(inputs.archive.read_bytes(), str(inputs.archive))
    for member in archive.members:
        if renamer.fits(bytes(member.data[:4])):
            yield from renamer.exported(member.data, f"{inputs.archive.name}({member.name})")


def rename(inputs: Inputs, prepared: Prepared, names: Mapping[str, str]) -> Prepared:
    """What is linked, with public names in its objects. `names` are the library's own and those of earlier libraries
    of the recipe, which it may use. Raises BuildError if another symbol has such a name already."""
    if not names:
        return prepared
    underscore = inputs.toolchain.symbol_prefix
    known = Names(
        renamed={f"{underscore}{old}": f"{underscore}{new}" for old, new in names.items()}, underscore=underscore
    )
    archive = inputs.folder / f"{inputs.product.name}.renamed.a"
    renamed(prepared.archive, archive, known, RENAMERS[inputs.toolchain.binary])
    return replace(prepared, archive=archive)


def inherited(inputs: Inputs, earlier: Iterable[LinkedLibrary]) -> Mapping[str, str]:
    """Name in the sources -> public name of what earlier libraries of the recipe export, but for names that this
    library defines itself."""
    offered = {old: new for library in earlier for old, new in library.renamed.items()}
    if not offered:
        return {}
    underscore = inputs.toolchain.symbol_prefix
    mine = {symbol.name.removeprefix(underscore) for symbol in archive_symbols.symbols(inputs.archive)}
    return {old: new for old, new in offered.items() if old not in mine}


def proven(library: LinkedLibrary, names: Mapping[str, str]) -> LinkedLibrary:
    """The linked library with the names that it really exports. Raises BuildError if it exports any other."""
    linkage = formats.read_file(library.path) if names else None
    if linkage is None:
        return library
    exported = {symbol.name for symbol in linkage.exports} - LINKERS_OWN
    if strange := sorted(exported - set(names.values())):
        raise BuildError(
            f"exports {', '.join(strange[:3])} under no name that the recipe gives",
            where=library.shared_name,
            fix="the linker took it for public by itself: look at the library's objects, and report it",
        )
    return replace(library, renamed={old: new for old, new in names.items() if new in exported})
