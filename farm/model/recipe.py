"""Recipes as they are written: `recipes/<name>/recipe.toml`.

Field names are the TOML keys; docstrings and descriptions feed the generated reference (docs/recipe-reference.md).
"""

from __future__ import annotations

from typing import Literal

from packaging.version import Version
from pydantic import Field

from farm.model.base import Frozen
from farm.model.mangling import PLAIN
from farm.model.recipe_product import Abi, Products, Variant
from farm.model.recipe_proof import Audit, Native, Tests
from farm.model.recipe_source import Release
from farm.model.recipe_text import Name, PlatformGlob, RelPath, SymbolGlob
from farm.model.recipe_upkeep import Rebuild, Watch

Kind = Literal["library", "dependent"]
BuildSystem = Literal["autotools", "cmake", "meson", "make", "pep517", "script"]


class Requires(Frozen):
    """What a build needs. `host` entries may carry a lower bound: ``gmp>=6.2``."""

    tools: tuple[str, ...] = Field(default=(), description="programs of the build machine beyond the basic set")
    host: tuple[str, ...] = Field(default=(), description="native libraries linked to, by recipe or provided name")
    python: RelPath | None = Field(
        default=None, description="requirements file with hashes: the build's Python packages (PEP 517 backends)"
    )
    run: tuple[str, ...] = Field(default=(), description="further run-time requirements of the wheel, PEP 508")
    dependents: tuple[Name, ...] = Field(
        default=(),
        description="other dependents of the farm that a dependent needs when it runs: who asks for it gets them too, "
        "and it is tested with the farm's",
    )
    pythons: str = Field(
        default="", max_length=100, description="Pythons that a dependent can be built for, as a bound: `>=3.12`"
    )


class Build(Frozen):
    """How it is built. `args` go to configure / cmake / meson / the backend's config settings."""

    system: BuildSystem = Field(description="upstream's build system; `pep517` for dependents, `script` for all else")
    directory: RelPath = Field(default=".", description="where in the source tree the project is")
    prepare: tuple[tuple[str, ...], ...] = Field(default=(), description="commands run in the source tree before")
    in_tree: bool = Field(default=False, description="build in the source tree instead of a separate directory")
    args: tuple[str, ...] = Field(default=(), description="arguments of the configuration (`make`: of every call)")
    make: tuple[str, ...] = Field(default=(), description="arguments of make / ninja when building")
    install: tuple[str, ...] = Field(default=("install",), description="arguments of make when installing")
    env: dict[str, str] = Field(default_factory=dict, description="environment variables of every command")
    cflags: tuple[str, ...] = Field(default=(), description="added to the toolchain's C and C++ flags")
    ldflags: tuple[str, ...] = Field(default=(), description="added to the toolchain's flags of links")
    abi3: str = Field(
        default="",
        pattern=r"^(cp3\d{1,3})?$",
        description="oldest Python of a dependent that uses the stable ABI: `cp311`; it is built once, with that one",
    )
    script: str = Field(default="", description='shell script for `system = "script"`; sees $SOURCE $PREFIX $DEPS')


class When(Frozen):
    """Additions for some platforms or releases. Lists are appended, `env` is merged. Matched on the platform tag and
    the release's version, never code."""

    platform: tuple[PlatformGlob, ...] = Field(
        default=("*",), min_length=1, description="globs of platform tags; one must match"
    )
    release: str = Field(default="", description="releases it is for, as a bound: `>=3.0`, `<1.3.2`; none: all")
    args: tuple[str, ...] = Field(default=(), description="appended to `build.args`")
    make: tuple[str, ...] = Field(default=(), description="appended to `build.make`")
    in_tree: bool = Field(default=False, description="true: `build.in_tree` is")
    env: dict[str, str] = Field(default_factory=dict, description="merged into `build.env`")
    cflags: tuple[str, ...] = Field(default=(), description="appended to `build.cflags`")
    ldflags: tuple[str, ...] = Field(default=(), description="appended to `build.ldflags`")
    patches: tuple[RelPath, ...] = Field(default=(), description="applied after those of the release")
    tools: tuple[str, ...] = Field(default=(), description="appended to `requires.tools`")
    exports: dict[str, tuple[SymbolGlob, ...]] = Field(
        default_factory=dict, description="appended to `exports` of the libraries of these names"
    )
    lacks: dict[str, tuple[SymbolGlob, ...]] = Field(
        default_factory=dict,
        description="taken out of `exports` of the libraries of these names: what an older release has not",
    )
    impossible: str = Field(default="", description="why this recipe cannot be built for these platforms")


class Recipe(Frozen):
    """How one thing is built."""

    format: Literal[1] = Field(description="version of this file format")
    name: Name = Field(description="the recipe's directory; the wheel of a library is `native-<name>`")
    kind: Kind = Field(description="library: becomes a native wheel; dependent: a Python package linked to some")
    summary: str = Field(description="what it is, in one line, for the wheel's metadata")
    license: str = Field(description="SPDX expression")
    license_files: tuple[RelPath, ...] = Field(min_length=1, description="in the source tree")
    homepage: str = Field(default="", description="the project's URL, for the wheel's metadata")
    purl: str = Field(default="", description="package URL without version")
    external: tuple[str, ...] = Field(default=(), description="names in other ecosystems as PEP 725 / purl identifiers")
    provides: tuple[Name, ...] = Field(default=(), description="virtual names: `blas`, `jpeg`")
    release: tuple[Release, ...] = Field(min_length=1, description="releases, oldest first; the last one is current")
    retired: tuple[Release, ...] = Field(
        default=(),
        description="older releases that nothing is built against any more, oldest first; `farm abi` still measures "
        "them, and `farm plan --bump` says what the upgrade from them needed",
    )
    requires: Requires = Requires()
    build: Build
    when: tuple[When, ...] = ()
    products: Products = Products()
    abi: Abi | None = None
    variant: tuple[Variant, ...] = ()
    tests: Tests = Tests()
    native: Native = Native()
    audit: Audit = Audit()
    watch: Watch | None = None
    rebuild: Rebuild | None = None

    @property
    def current(self) -> Release:
        """The newest release."""
        return max(self.release, key=lambda r: Version(r.version))

    @property
    def history(self) -> tuple[Release, ...]:
        """All releases, retired ones first: oldest first."""
        return (*self.retired, *self.release)

    @property
    def distribution(self) -> str:
        """The wheel's distribution name: `native-gmp` for the library gmp, `gmpy2` for the dependent."""
        return f"native-{self.name}" if self.kind == "library" else self.name

    @property
    def internal(self) -> tuple[str, ...]:
        """Globs of public names that are no part of the ABI."""
        return self.public(self.abi.internal if self.abi else ())

    def public(self, globs: tuple[str, ...]) -> tuple[str, ...]:
        """Globs of the names that sources have as globs of the public names that the libraries give them."""
        manglings = dict.fromkeys(library.mangling for library in self.products.library) or (PLAIN,)
        return tuple(mangling(glob) for mangling in manglings for glob in globs)

    @property
    def import_name(self) -> str:
        """`native_gmp`: the native wheel's import package (for dependents, only a default)."""
        return self.distribution.replace("-", "_")
