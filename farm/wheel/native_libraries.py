"""The shared libraries that native wheels bring, read from the wheels or from site directories with installed ones.

Nothing a manifest says is believed before it agrees with the file it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement
from packaging.version import InvalidVersion, Version

from farm.binary import formats
from farm.errors import BinaryFormatError, UsageError
from farm.model import names, pypa
from farm.model.binary import Linkage
from farm.model.native import NativeLibrary, NativeManifest
from farm.wheel import native_manifest
from farm.wheel.archive import WheelArchive
from farm.wheel.native_manifest import MANIFEST

_IMPORT_NAME = re.compile(r"native_[a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLibrary:
    """One shared library of a native wheel that is at hand.

    `directory` is where it lies below a site directory (``native_gmp/lib``), `origin` the wheel or manifest that
    tells of it. `read` gives what the library says of itself; it is read once, when first asked for.
    """

    manifest: NativeManifest
    library: NativeLibrary
    directory: str
    origin: str
    read: Callable[[], Linkage] = field(repr=False, compare=False)

    @property
    def shared_name(self) -> str:
        """Its file name, by which binaries need it: ``libgmp-nf10.so``."""
        return self.library.shared_name

    @property
    def distribution(self) -> str:
        """The project that brings it: ``native-gmp``."""
        return self.manifest.distribution

    @property
    def version(self) -> Version:
        """The version of its wheel, with the ABI epoch as epoch."""
        return pypa.version(self.manifest.version)

    @property
    def linkage(self) -> Linkage:
        """What the library says of itself. Raises BinaryFormatError if that is not what its manifest says."""
        return self.read()


def load(places: Iterable[Path]) -> Iterator[KnownLibrary]:
    """The libraries of native wheels, directories of wheels, and site directories with installed native packages.

    Raises UsageError for a place that does not exist, BinaryFormatError for a native wheel that is damaged or lies.
    """
    for place in places:
        yield from _read_place(place)


def _read_place(place: Path) -> Iterator[KnownLibrary]:
    if place.is_file():
        found = _read_wheel(place, _mark(place))
        if not found:
            raise UsageError(
                "is not a native wheel: it has no native.json",
                where=str(place),
                fix="give a native wheel, or a directory of them",
            )
        yield from found
    elif place.is_dir():
        for wheel in sorted(place.glob("native_*.whl")):
            yield from _read_wheel(wheel, _mark(wheel))
        yield from _read_site(place)
    else:
        raise UsageError("does not exist", where=str(place), fix="--native takes a native wheel or a directory of them")


def _mark(wheel: Path) -> tuple[int, int, int]:
    """Changes when the file does, so that nobody meets a rebuilt wheel's predecessor."""
    found = wheel.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=64)
def _read_wheel(path: Path, mark: tuple[int, int, int]) -> tuple[KnownLibrary, ...]:  # noqa: ARG001 - what it is kept by
    with WheelArchive.open(path) as archive:
        manifest = native_manifest.read(archive)
        if manifest is None:
            return ()
        _check(manifest, str(path))
        if archive.name.project != manifest.distribution or archive.name.parsed_version != pypa.version(
            manifest.version
        ):
            raise _lie(str(path), f"native.json is of {manifest.distribution} {manifest.version}")
        members = frozenset(archive.members)
    found = []
    for library in manifest.library:
        inside = _inside(manifest, library, str(path))
        if inside not in members:
            raise _lie(str(path), f"native.json names {inside}, which is not in the wheel")
        found.append(_known(manifest, library, str(path), lambda inside=inside: _member(path, inside)))  # type: ignore[misc]
    return tuple(found)


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


def _known(manifest: NativeManifest, library: NativeLibrary, origin: str, content: Callable[[], bytes]) -> KnownLibrary:
    directory = PurePosixPath(_inside(manifest, library, origin)).parent.as_posix()
    read = cache(lambda: _linkage(library, origin, content()))
    return KnownLibrary(manifest=manifest, library=library, directory=directory, origin=origin, read=read)


def _check(manifest: NativeManifest, where: str) -> None:
    """Raise BinaryFormatError if a manifest contradicts itself."""
    try:
        version = pypa.version(manifest.version)
        for release in (manifest.baseline, *manifest.introduced):
            pypa.version(release)
        for line in manifest.requires:
            pypa.requirement(line)
    except (InvalidVersion, InvalidRequirement) as error:
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


def _linkage(library: NativeLibrary, origin: str, content: bytes) -> Linkage:
    linkage = formats.read_bytes(content, f"{origin}: {library.path}")
    if linkage is None:
        raise _lie(origin, f"{library.path} is not a binary")
    if linkage.soname.rpartition("/")[2] != library.shared_name:
        raise _lie(origin, f"{library.path} is named {linkage.soname!r} inside")
    return linkage


def _lie(where: str, what: str) -> BinaryFormatError:
    return BinaryFormatError(what, where=where, fix="do not use this native wheel; get it again")
