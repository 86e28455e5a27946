"""What a native wheel is made from, as values; `farm.wheel.native` makes the tree."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from farm.model import names
from farm.model.binary import BinaryFormat
from farm.model.mangling import PLAIN, Mangling, symbols_header
from farm.model.native import NativeManifest
from farm.wheel.names import WheelName
from farm.wheel.sbom import AppliedPatch, Component, SourceArchive

REQUIRES_PYTHON = ">=3.9"  # what templates/package is written for


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeProduct:
    """One finished shared library.

    `path` is the file; its shared name is the file's name. `variants` maps an instruction-set level (``x86-64-v3``) to
    another build of the same shared name. `system` are system libraries (``m``) for static link lines, `cflags` further
    compiler flags of users (``-DX_DLL``, ``-I${includedir}/x``). `import_library` is what linkers take instead of the
    library where the format has such a thing (PE ``.lib``, Mach-O ``.tbd``). `replaces`: see the recipe. `renamed` maps
    names of the sources to those that it exports, by `mangling`, where they are others.
    """

    link_name: str
    path: Path
    variants: Mapping[str, Path] = field(default_factory=dict)
    pkgconfig: str = ""
    system: tuple[str, ...] = ()
    cflags: tuple[str, ...] = ()
    import_library: Path | None = None
    replaces: tuple[str, ...] = ()
    mangling: Mangling = PLAIN
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def shared_name(self) -> str:
        """Its file name, by which binaries need it."""
        return self.path.name

    @property
    def pkgconfig_name(self) -> str:
        """The name of its .pc file: the recipe's, else the link name."""
        return self.pkgconfig or self.link_name


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeDependency:
    """Another native wheel that this one needs, from native version `lower` (``10!6.2.1``) to the end of its epoch."""

    manifest: NativeManifest
    lower: str

    @property
    def upper(self) -> str:
        """The first version that does not fit: the next ABI epoch."""
        return names.upper_bound(self.manifest.abi_epoch)

    @property
    def requirement(self) -> str:
        """The line for ``Requires-Dist``."""
        return f"{self.manifest.distribution}>={self.lower},<{self.upper}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeSpec:
    """A native wheel before it is one.

    `version` is the native version, whose PEP 440 epoch is the ABI epoch (``10!6.3.0.post1``); `baseline` the oldest
    release of the epoch of which is known what it had, `introduced` the symbols of later ones. `anchor` is the file
    that is opened at run time (ELF only; elsewhere the libraries themselves). `headers` is a directory, `header_globs`
    what is taken of it. `licenses` maps the path below ``.dist-info/licenses/`` to a file. `requires` are further
    requirements (PEP 508) beside the native `dependencies`. `purl` (upstream's package URL with the version),
    `external` (its names in other ecosystems),
    `sources`, `patches` and `tools` go into the SBOM.
    """

    name: str
    version: str
    baseline: str
    platform: str
    format: BinaryFormat
    summary: str
    license: str
    products: tuple[NativeProduct, ...]
    anchor: Path | None = None
    headers: Path | None = None
    header_globs: tuple[str, ...] = ("**/*",)
    licenses: Mapping[str, Path] = field(default_factory=dict)
    dependencies: tuple[NativeDependency, ...] = ()
    requires: tuple[str, ...] = ()
    introduced: Mapping[str, Collection[str]] = field(default_factory=dict)
    cmake_package: str = ""
    homepage: str = ""
    purl: str = ""
    external: tuple[str, ...] = ()
    sources: tuple[SourceArchive, ...] = ()
    patches: tuple[AppliedPatch, ...] = ()
    tools: tuple[Component, ...] = ()

    @property
    def distribution(self) -> str:
        """The project's name: ``native-gmp``."""
        return f"native-{self.name}"

    @property
    def import_name(self) -> str:
        """The package's name: ``native_gmp``."""
        return self.distribution.replace("-", "_")

    @property
    def symbols_header(self) -> str:
        """The header with the public names, below ``include/``; empty where they are the names of the sources."""
        return symbols_header(self.import_name) if any(product.renamed for product in self.products) else ""

    @property
    def abi_epoch(self) -> int:
        """The version's epoch."""
        return Version(self.version).epoch

    @property
    def release(self) -> str:
        """Upstream's version: without the epoch and the farm's revision (``6.3.0``)."""
        parsed = Version(self.version)
        pre = "".join(str(part) for part in parsed.pre or ())
        return ".".join(str(number) for number in parsed.release) + pre

    @property
    def cmake_name(self) -> str:
        """The name for ``find_package``: the recipe's, else its own."""
        return self.cmake_package or self.name

    @property
    def wheel_name(self) -> WheelName:
        """The name of the wheel: it fits every Python 3 of the platform."""
        return WheelName(
            distribution=self.import_name,
            version=str(Version(self.version)),
            python="py3",
            abi="none",
            platform=self.platform,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedWheel:
    """A complete tree (without RECORD) for ``farm.wheel.pack.pack(tree, filename, ...)``."""

    tree: Path
    filename: str
    manifest: NativeManifest
