"""What native wheels are known: their manifests and the symbols they export, from wheels or installed site directories.

Nothing a manifest says is believed before it agrees with the file it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from packaging.version import InvalidVersion, Version

from farm.binary import formats
from farm.errors import BinaryFormatError, CatalogError, UsageError
from farm.model import names
from farm.model.binary import Linkage
from farm.model.native import NativeLibrary, NativeManifest
from farm.wheel import native_manifest
from farm.wheel.archive import WheelArchive
from farm.wheel.native_manifest import MANIFEST
from farm.wheel.platforms import machines, platform_tag
from farm.wheel.system_libraries import stem

_HASHED = re.compile(r"(?P<base>[^.]+)-[0-9a-f]{8}(?P<rest>\..+)")  # auditwheel: libgmp-a6f47472.so.10.5.0
_IMPORT_NAME = re.compile(r"native_[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLibrary:
    """One shared library of a known native wheel. `directory` is where it lies below a site directory."""

    manifest: NativeManifest
    library: NativeLibrary
    directory: str
    origin: str
    load: Callable[[], bytes] = field(repr=False, compare=False)

    @property
    def version(self) -> Version:
        return Version(self.manifest.version)


class Natives:
    """Known native libraries of one or more platforms; of two releases of one library the newer counts."""

    def __init__(self, libraries: Iterable[KnownLibrary]) -> None:
        self._libraries = tuple(libraries)
        self._by_name: dict[str, KnownLibrary] = {}
        self._by_replaced: dict[str, KnownLibrary] = {}
        self._exports: dict[str, Mapping[str, frozenset[str]]] = {}
        for known in sorted(self._libraries, key=lambda k: k.version):
            self._claim(self._by_name, known.library.shared_name, known)
            for soname in known.library.replaces:
                self._claim(self._by_replaced, soname, known)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[KnownLibrary]:
        return iter(self._by_name.values())

    @staticmethod
    def _claim(table: dict[str, KnownLibrary], name: str, known: KnownLibrary) -> None:
        other = table.get(name)
        if other is not None and other.manifest.distribution != known.manifest.distribution:
            both = f"{other.manifest.distribution} ({other.origin}) and {known.manifest.distribution} ({known.origin})"
            raise CatalogError([f"{name} is claimed by {both}"], fix="give only one of them with --native")
        table[name] = known

    def for_platform(self, family: str, arch: str) -> Natives:
        """Those that run with libc `family` (``glibc``, ``musl``, ``macos``, ``windows``) and `arch` of wheel tags."""
        tags = ((known, platform_tag(known.manifest.platform)) for known in self._libraries)
        wanted = machines(arch)
        return Natives(known for known, tag in tags if wanted <= machines(tag.arch) and tag.family in (family, ""))

    def named(self, needed: str) -> KnownLibrary | None:
        """The library whose shared name is needed. ``@rpath/`` before it does not matter, nor does a DLL's case."""
        file = needed.rpartition("/")[2]
        return self._by_name.get(file.lower() if file.lower().endswith(".dll") else file)

    def resembling(self, name: str) -> KnownLibrary | None:
        """The library that a file is a copy of, judged by its name: ``libgmp-10-1b2c3d4e.dll``."""
        wanted = stem(name.rpartition("/")[2])
        if not wanted or self.named(name) is not None:
            return None
        return next(
            (k for k in self if wanted in {stem(n) for n in (k.library.shared_name, *k.library.replaces)}), None
        )

    def replacing(self, soname: str, *, vendored: bool) -> KnownLibrary | None:
        """The library that may stand for a system soname, or for a vendored copy that auditwheel renamed."""
        candidates = tuple(_unversioned(soname)) if vendored else (soname,)
        if found := next((self._by_replaced[name] for name in candidates if name in self._by_replaced), None):
            return found
        globs = self._by_replaced.items() if vendored else ()  # `libgmp-*.so.*` names copies, never a system's library
        return next((known for glob, known in globs if fnmatchcase(soname, glob)), None)

    def exports(self, known: KnownLibrary) -> Mapping[str, frozenset[str]]:
        """Exported symbol -> its versions (the empty string where it has none). Read when first asked for."""
        name = known.library.shared_name
        if name not in self._exports:
            self._exports[name] = exported(_checked(known))
        return self._exports[name]


def _unversioned(vendored: str) -> Iterator[str]:
    """The sonames a vendored copy may have had: ``libgmp-a6f47472.so.10.5.0`` -> ``libgmp.so.10.5.0``, ``.so.10``."""
    for name in (vendored, _HASHED.sub(r"\g<base>\g<rest>", vendored)):
        yield name
        head, dot, last = name.rpartition(".")
        while dot and last.isdigit():
            yield head
            head, dot, last = head.rpartition(".")


def exported(linkage: Linkage) -> dict[str, frozenset[str]]:
    """Exported symbol -> versions."""
    found: dict[str, set[str]] = {}
    for symbol in linkage.exports:
        found.setdefault(symbol.name, set()).add(symbol.version)
    return {name: frozenset(versions) for name, versions in found.items()}


def load(places: Iterable[Path]) -> Natives:
    """Natives from native wheels, directories of wheels, and site directories with installed native packages.

    Raises UsageError for a place that does not exist, BinaryFormatError for a native wheel that is damaged or lies.
    """
    return Natives(known for place in places for known in _read_place(place))


def _read_place(place: Path) -> Iterator[KnownLibrary]:
    if place.is_file():
        found = list(_read_wheel(place))
        if not found:
            raise UsageError(
                "is not a native wheel: it has no native.json",
                where=str(place),
                fix="--native takes native wheels, or directories of them",
            )
        yield from found
    elif place.is_dir():
        for wheel in sorted(place.glob("native_*.whl")):
            yield from _read_wheel(wheel)
        yield from _read_site(place)
    else:
        raise UsageError("does not exist", where=str(place), fix="--native takes a native wheel or a directory of them")


def _read_wheel(path: Path) -> Iterator[KnownLibrary]:
    with WheelArchive.open(path) as archive:
        manifest = native_manifest.read(archive)
        if manifest is None:
            return
        _check(manifest, str(path))
        if archive.name.project != manifest.distribution or archive.name.parsed_version != Version(manifest.version):
            raise _lie(str(path), f"native.json is of {manifest.distribution} {manifest.version}")
        members = frozenset(archive.members)
    for library in manifest.library:
        inside = _inside(manifest, library, str(path))
        if inside not in members:
            raise _lie(str(path), f"native.json names {inside}, which is not in the wheel")
        yield _known(manifest, library, str(path), lambda inside=inside: _member(path, inside))  # type: ignore[misc]


def _member(path: Path, name: str) -> bytes:
    with WheelArchive.open(path) as archive:
        return archive.read(name)


def _read_site(site: Path) -> Iterator[KnownLibrary]:
    for file in sorted(site.glob(f"native_*.dist-info/{MANIFEST}")):
        manifest = native_manifest.parse(file.read_bytes(), str(file))
        _check(manifest, str(file))
        for library in manifest.library:
            path = site / _inside(manifest, library, str(file))
            if not path.is_file():
                raise _lie(str(file), f"names {path}, which does not exist")
            yield _known(manifest, library, str(file), path.read_bytes)


def _known(manifest: NativeManifest, library: NativeLibrary, origin: str, read: Callable[[], bytes]) -> KnownLibrary:
    directory = PurePosixPath(_inside(manifest, library, origin)).parent.as_posix()
    return KnownLibrary(manifest=manifest, library=library, directory=directory, origin=origin, load=read)


def _check(manifest: NativeManifest, where: str) -> None:
    """Raise BinaryFormatError if a manifest contradicts itself."""
    try:
        version = Version(manifest.version)
        for release in (manifest.baseline, *manifest.introduced):
            Version(release)
    except InvalidVersion as error:
        raise _lie(where, f"native.json cannot be used: {error}") from error
    if version.epoch != manifest.abi_epoch:
        raise _lie(where, f"version {version} is not of ABI epoch {manifest.abi_epoch}")
    if not _IMPORT_NAME.fullmatch(manifest.import_name) or manifest.import_name != manifest.distribution.replace(
        "-", "_"
    ):
        raise _lie(where, f"import package {manifest.import_name!r} is not that of {manifest.distribution!r}")


def _inside(manifest: NativeManifest, library: NativeLibrary, where: str) -> str:
    """The library's path below a site directory, after a check that name and path are what they must be."""
    parts = library.path.split("/")
    parsed = names.parse_shared_name(library.shared_name)
    if any(part in ("", ".", "..") for part in parts) or "\\" in library.path or parts[-1] != library.shared_name:
        raise _lie(where, f"{library.path!r} is no path of {library.shared_name!r} inside the package")
    if parsed is None or parsed.epoch != manifest.abi_epoch:
        raise _lie(where, f"{library.shared_name!r} is no shared name of ABI epoch {manifest.abi_epoch}")
    return f"{manifest.import_name}/{library.path}"


def _checked(known: KnownLibrary) -> Linkage:
    linkage = formats.read_bytes(known.load(), f"{known.origin}: {known.library.path}")
    if linkage is None:
        raise _lie(known.origin, f"{known.library.path} is not a binary")
    if linkage.soname.rpartition("/")[2] != known.library.shared_name:
        raise _lie(known.origin, f"{known.library.path} is named {linkage.soname!r} inside")
    return linkage


def _lie(where: str, what: str) -> BinaryFormatError:
    return BinaryFormatError(what, where=where, fix="do not use this native wheel; get it again")
