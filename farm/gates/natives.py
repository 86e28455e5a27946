"""The libraries that native wheels bring, as an audit needs to know them."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import Path

from farm.binary import formats
from farm.errors import UsageError
from farm.gates.policy import KnownLibrary
from farm.wheel import native_manifest
from farm.wheel.archive import WheelArchive


def libraries_of(place: Path) -> tuple[KnownLibrary, ...]:
    """The libraries of a native wheel, or of every native wheel in a directory.

    Raises UsageError if there is no such place or a named wheel is no native wheel, BinaryFormatError if one is
    damaged.
    """
    if place.is_dir():
        wheels = sorted(place.glob("native_*.whl"))
        return tuple(library for wheel in wheels for library in _read(wheel, _mark(wheel)))
    if not place.is_file():
        raise UsageError(f"there is no wheel {place}", where="--native", fix="give a native wheel or a directory")
    return _read(place, _mark(place))


def _mark(wheel: Path) -> tuple[int, int, int]:
    """Changes when the file does, so that a rebuilt wheel is never judged by its predecessor."""
    found = wheel.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=64)
def _read(wheel: Path, mark: tuple[int, int, int]) -> tuple[KnownLibrary, ...]:  # noqa: ARG001
    with WheelArchive.open(wheel) as archive:
        manifest = native_manifest.read(archive)
        if manifest is None:
            raise UsageError(
                f"{wheel.name} has no native.json: it is not a native wheel",
                where="--native",
                fix="give native wheels, or a directory of them",
            )
        found = []
        for library in manifest.library:
            path = f"{manifest.import_name}/{library.path}"
            found.append(
                KnownLibrary(
                    soname=library.shared_name,
                    distribution=manifest.distribution,
                    version=manifest.version,
                    directory=posixpath.dirname(path),
                    linkage=formats.read_bytes(archive.read(path), f"{wheel.name}: {path}"),
                    replaces=library.replaces,
                )
            )
        return tuple(found)
