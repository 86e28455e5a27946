"""Recipes as they are written: `recipes/<name>/recipe.toml`.

Field names are the TOML keys; docstrings and descriptions feed the generated reference (docs/recipe-reference.md).
"""

from __future__ import annotations

from typing import Any, Literal

from packaging.version import Version
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from farm.model.base import Frozen
from farm.model.mangling import PLAIN, Mangling, NamePrefix, NameSuffix
from farm.model.recipe_text import FileGlob, FileName, FileNameGlob, Module, SymbolGlob
from farm.model.recipe_text import Name as Name
from farm.model.recipe_text import PlatformGlob as PlatformGlob
from farm.model.recipe_text import RelPath as RelPath
from farm.model.recipe_text import Sha256 as Sha256

Kind = Literal["library", "dependent"]
BuildSystem = Literal["autotools", "cmake", "meson", "make", "pep517", "script"]


MAX_MB = 2000
"""Megabytes (of 1,000,000 bytes) of a download, unless its location says otherwise: ten times what the largest has."""


class Location(Frozen):
    """One place a source can be had from. Locations are tried in order."""

    url: str = Field(
        description="`https://...`, `debian:<file of a pool>`, `pypi:<sdist file>`, `file:<path beside the recipe>`"
    )
    sha256: Sha256 = Field(description="hash of the file at this location (repacked tarballs differ from upstream's)")
    max_mb: int = Field(
        default=MAX_MB, ge=1, le=1_000_000, description="largest size of the file, in megabytes; a download ends there"
    )

    @model_serializer(mode="wrap")
    def _without_the_default(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As locations were written before they had limits: digests of what is made from them stay the same."""
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if (name, value) != ("max_mb", MAX_MB)}


class Source(Frozen):
    """One archive or file of a release."""

    location: tuple[Location, ...] = Field(min_length=1)
    into: RelPath = Field(default=".", description="directory, relative to the source tree, it is unpacked into")
    unpack: bool = Field(
        default=True, description="false: no archive; the file is copied under its name, as for a `file:` of the recipe"
    )

    @property
    def file_name(self) -> str:
        """What a file that is not unpacked is called in the source tree: as at its first location."""
        return self.location[0].url.replace(":", "/").rpartition("/")[2]


class Release(Frozen):
    """One version of the upstream project, with its sources and patches."""

    version: str = Field(max_length=64, description="upstream's version, PEP 440")
    revision: int = Field(
        default=0, ge=0, le=9999, description="raised when the farm changes the wheel of the same release"
    )
    source: tuple[Source, ...] = Field(min_length=1)
    patches: tuple[RelPath, ...] = Field(default=(), description="files below `patches/`, applied in order with -p1")
    abi_epoch: int | None = Field(
        default=None,
        ge=1,
        le=99,
        description="its ABI epoch, where it is not `epoch` of `[abi]`; never below that of an older release",
    )


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
    env: dict[str, str] = Field(default_factory=dict, description="merged into `build.env`")
    cflags: tuple[str, ...] = Field(default=(), description="appended to `build.cflags`")
    ldflags: tuple[str, ...] = Field(default=(), description="appended to `build.ldflags`")
    patches: tuple[RelPath, ...] = Field(default=(), description="applied after those of the release")
    tools: tuple[str, ...] = Field(default=(), description="appended to `requires.tools`")
    exports: dict[str, tuple[SymbolGlob, ...]] = Field(
        default_factory=dict, description="appended to `exports` of the libraries of these names"
    )
    impossible: str = Field(default="", description="why this recipe cannot be built for these platforms")


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


class UpstreamSuite(Frozen):
    """Upstream's own tests, run against the installed wheel."""

    command: tuple[str, ...] = Field(min_length=1, description="`{python}` and `{source}` are replaced")
    copy_paths: tuple[RelPath, ...] = Field(
        default=(), description="parts of the source copied into an empty directory; the tests run there"
    )
    requires: tuple[str, ...] = Field(default=(), description="packages the tests need, PEP 508")


class Tests(Frozen):
    """How the result is tested."""

    smoke: RelPath | None = Field(default=None, description="`smoke.c` (linked to the library) or `smoke.py`")
    upstream: UpstreamSuite | None = None


class Native(Frozen):
    """What a native runner builds, with that system's own compiler, by cibuildwheel. No part of any build key."""

    platform: tuple[PlatformGlob, ...] = Field(
        default=(), description="globs of the platforms whose wheels CI has a native runner build"
    )


class Audit(Frozen):
    """Knowledge the audit needs about this recipe. Every exemption has a reason."""

    dispatched: tuple[str, ...] = Field(
        default=(),
        description="globs of functions, without `symbol_prefix` and `symbol_suffix`, that are only called after a CPU "
        "check, so may exceed the baseline",
    )
    dispatch_reason: str = Field(default="", description="where the sources choose these functions")
    allow_libraries: tuple[str, ...] = Field(default=(), description="further shared libraries that may be needed")
    allow_archives: tuple[RelPath, ...] = Field(
        default=(),
        description="globs of static archives that belong into the wheel, because packages that build on this one link "
        "to them",
    )


class Watch(Frozen):
    """Where new releases appear."""

    kind: Literal["page", "debian", "pypi"] = Field(
        description="a web page with names of archives, a Debian source package, or a project of the package index"
    )
    at: str = Field(description="the page's URL, or the name of the package or project")
    pattern: str = Field(
        default="",
        description="regular expression of an archive's name on the page; its group `version`, or the first one, is "
        "the version",
    )
    prereleases: bool = Field(default=False, description="alphas, betas and release candidates are releases, too")
    schedule: str = Field(
        default="0 5 * * *",
        max_length=100,
        description="when `farm watch --due` looks, in cron form (minute hour day month weekday), UTC",
    )


class Rebuild(Frozen):
    """When what waits is rolled out although nobody asks."""

    schedule: str = Field(
        max_length=100,
        description="when scheduled runs build, test and publish all that changed since, in cron form (minute hour day "
        "month weekday), UTC",
    )


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
