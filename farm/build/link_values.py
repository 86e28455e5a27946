"""What a linker of one binary format is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from farm.binary import archive_symbols
from farm.build.systems.base import Command
from farm.errors import BuildError
from farm.model.names import shared_name
from farm.model.native import NativeManifest
from farm.model.recipe_product import LibraryProduct
from farm.model.toolchain import Toolchain

CXX = frozenset({"c++", "stdc++"})
"""Names in `products.library.system` that say that the library holds C++."""

_DATA_KINDS = frozenset({"data", "tls"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A native package that is linked to: its directory as commands see it, and what its manifest says."""

    root: str
    manifest: NativeManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A product before it is linked, in places of this machine: its static `archive`, and the `folder` that takes what
    the linker needs beside it. `exports` are the globs of public names."""

    product: LibraryProduct
    epoch: int
    toolchain: Toolchain
    exports: tuple[str, ...]
    archive: Path
    folder: Path

    @property
    def shared_name(self) -> str:
        """The file name of the shared library on this platform."""
        return shared_name(self.product.name, self.epoch, self.toolchain.binary)

    def public_name(self, name: str) -> str:
        """The name under which the library exports what its sources call `name`."""
        return self.product.mangling(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the link command takes: an archive, and the file that says what is public (None where the archive says), by
    the names that the library exports."""

    archive: Path
    exports: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkJob:
    """One shared library to be linked. `archive`, `out`, `exports` and `earlier` (libraries of the same recipe that it
    may use) are paths as commands see them; `level` is a variant's, else empty. `debug` keeps debug information in what
    is not stripped. `beside` is the entry of the run path by which it finds `earlier` ones, where it needs one."""

    product: LibraryProduct
    epoch: int
    toolchain: Toolchain
    archive: str
    out: str
    exports: str
    deps: tuple[Dependency, ...]
    earlier: tuple[str, ...]
    level: str = ""
    debug: bool = False
    beside: str = ""

    @property
    def shared_name(self) -> str:
        """The file name of the shared library on this platform."""
        return shared_name(self.product.name, self.epoch, self.toolchain.binary)

    @property
    def driver(self) -> str:
        """The compiler that links: it knows the run time of its language."""
        return "c++" if CXX.intersection(self.product.system) else "cc"

    @property
    def needed(self) -> list[str]:
        """Arguments for the libraries it may need: of this recipe, of native packages, of the system."""
        found = [*self.earlier]
        for dep in self.deps:
            found += [f"-L{dep.root}/lib", *(f"-l{library.link_name}" for library in dep.manifest.library)]
        return found + [f"-l{name}" for name in self.product.system if name not in CXX]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linker:
    """How libraries of one binary format are made.

    `prepare` writes what the linker needs and may raise CatalogError or BuildError; `command` is the link itself, with
    or without the symbol table. `has_twin`: the format has a symbol table that is left out of what is shipped, so
    audits want the library a second time with it. `import_library` is the name of the file that other links read
    instead of the library, with ``{name}`` for the link name; empty where they read the library. `make_import` writes
    it, where `prepare` does not. `beside` is the entry of a run path that stands for a library's own directory; empty
    where loaders search that by themselves.
    """

    prepare: Callable[[Inputs], Prepared]
    command: Callable[[LinkJob, bool], Command]
    has_twin: bool = False
    import_library: str = ""
    make_import: Callable[[LinkJob], Command] | None = None
    beside: str = ""


def link_command(job: LinkJob, argv: Iterable[str], flags: str = "") -> Command:
    """A link as a command. Nothing is compiled, so no flag of the recipe may make the compiler build its run time
    once more; `flags` are those that it takes all the same."""
    return Command(phase="link", argv=tuple(argv), cwd=job.out, env={"FARM_CFLAGS": flags})


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A public symbol by the name in C that its sources have."""

    name: str
    is_data: bool
    is_thread_local: bool


def public(inputs: Inputs) -> tuple[Export, ...]:
    """The symbols of an archive that the globs make public, by the names that its sources have. Raises BuildError if
    there is none."""
    prefix = inputs.toolchain.symbol_prefix
    found = [
        Export(name=name, is_data=symbol.kind in _DATA_KINDS, is_thread_local=symbol.kind == "tls")
        for symbol in archive_symbols.symbols(inputs.archive)
        if symbol.name.startswith(prefix) and is_public(name := symbol.name[len(prefix) :], inputs.exports)
    ]
    if not found:
        raise BuildError(
            f"the archive defines no symbol that matches {', '.join(inputs.exports)}",
            where=inputs.shared_name,
            fix="widen [[products.library]] exports",
        )
    return tuple(found)


def is_public(name: str, exports: Iterable[str]) -> bool:
    """Whether a name in C matches one of the globs."""
    return any(fnmatchcase(name, glob) for glob in exports)
