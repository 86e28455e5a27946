"""What a library recipe gives, and what is promised of it: `[products]`, `[abi]`, `[[variant]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from farm.model.base import Frozen
from farm.model.mangling import Mangling, NamePrefix, NameSuffix
from farm.model.recipe_text import FileGlob, FileName, FileNameGlob, Module, Name, PlatformGlob, RelPath, SymbolGlob


class LibraryProduct(Frozen):
    """One shared library, linked by the farm from the PIC static archive that the build leaves in its prefix."""

    name: Name = Field(description="link name: `gmp` for -lgmp")
    archive: RelPath = Field(description="static archive in the prefix, for example `lib/libgmp.a`")
    exports: tuple[SymbolGlob, ...] = Field(
        min_length=1, description="globs of the symbols that are public, by the names that they have in the sources"
    )
    symbol_prefix: NamePrefix = Field(
        default="", max_length=60, description="put before every public name: `scipy_` makes `scipy_dgemm_` of `dgemm_`"
    )
    symbol_suffix: NameSuffix = Field(
        default="", max_length=60, description="put behind every public name: `64_` makes `dgemm_64_` of `dgemm_`"
    )
    system: tuple[FileName, ...] = Field(default=(), description="system libraries it links to: `m`, `pthread`")
    pkgconfig: str = Field(
        default="",
        max_length=100,
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.+-]*)?$",
        description="name of its .pc file; the library's name unless given",
    )
    replaces: tuple[FileNameGlob, ...] = Field(
        default=(), description="sonames of compatible system or vendored copies that `farm repair` may redirect"
    )

    @property
    def mangling(self) -> Mangling:
        """What makes public names of the sources' names."""
        return Mangling(prefix=self.symbol_prefix, suffix=self.symbol_suffix)


class Products(Frozen):
    """What the native wheel holds."""

    library: tuple[LibraryProduct, ...] = ()
    headers: tuple[FileGlob, ...] = Field(default=(), description="globs below the prefix's include/")
    imports: tuple[Module, ...] = Field(default=(), description="modules a dependent's smoke test imports")


class Abi(Frozen):
    """The pinned ABI."""

    epoch: int = Field(
        ge=1,
        le=99,
        description="of all releases that say no `abi_epoch`; goes up only when the ABI breaks; "
        "part of the shared name and of the wheel's version",
    )
    internal: tuple[str, ...] = Field(
        default=(),
        description="globs of exported names, without `symbol_prefix` and `symbol_suffix`, that are no part of the "
        "ABI: no header declares them, programs cannot use them; a release may take them away",
    )


class Variant(Frozen):
    """A second build for a higher instruction-set level, put into glibc-hwcaps of the same wheel."""

    level: Literal["x86-64-v2", "x86-64-v3", "x86-64-v4"] = Field(
        description="level of the x86-64 psABI whose processors load it"
    )
    platform: tuple[PlatformGlob, ...] = Field(min_length=1, description="globs of the platforms that get it")
    args: tuple[str, ...] = Field(default=(), description="appended to `build.args`")
    cflags: tuple[str, ...] = Field(
        default=(), description="after all other flags; they ask for the level: `-march=x86-64-v3`"
    )
