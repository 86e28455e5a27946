"""The files all generations share: ``files/<aa>/<sha256>/<filename>`` with its METADATA beside it (PEP 658)."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from farm.errors import IndexFormatError
from farm.index.contents import IndexFile, PublishedFile
from farm.store.files import copy_new, file_sha256, fsync_dir, make_dirs, temporary_name, write_atomic
from farm.store.pointers import is_hash
from farm.wheel import metadata, record
from farm.wheel.archive import WheelArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A wheel that was found sound, and what its page will say."""

    source: Path
    published: PublishedFile
    metadata: bytes


def inspect(file: IndexFile, *, uploaded: str) -> Candidate:
    """Read and verify a wheel: every member against RECORD, METADATA against the file name, its hash if one is given.

    Raises BinaryFormatError for wheels nobody should install, IndexFormatError for a wrong hash.
    """
    where = str(file.path)
    if not file.path.is_file():
        raise IndexFormatError("there is no such wheel", where=where, fix="check its path")
    with WheelArchive.open(file.path) as archive:
        record.verify(archive)
        content = archive.read(archive.dist_info_file("METADATA"))
        headers = metadata.parse_metadata(content, archive.name, where)
        wheel_file = metadata.parse_headers(archive.read(archive.dist_info_file("WHEEL")), where)
        metadata.check_wheel_file(wheel_file, archive.name, where)
        name = archive.name
    with file.path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    if file.sha256 not in ("", sha256):
        raise IndexFormatError(f"has sha256 {sha256}, expected {file.sha256}", where=where, fix="`farm build` it again")
    published = PublishedFile(
        project=name.project,
        filename=file.path.name,
        version=str(name.parsed_version),
        sha256=sha256,
        size=size,
        requires_python=headers.get("Requires-Python"),
        metadata_sha256=hashlib.sha256(content).hexdigest(),
        uploaded=uploaded,
    )
    return Candidate(source=file.path, published=published, metadata=content)


def accept(file: IndexFile, *, uploaded: str) -> Candidate:
    """The same of a wheel that is new here: all that it requires has to be PEP 508, or no installer can read its page's
    METADATA. What was published before stays, and overlays can correct it. Raises BinaryFormatError."""
    candidate = inspect(file, uploaded=uploaded)
    metadata.check_requirements(candidate.metadata, str(file.path))
    return candidate


def check_unique(found: list[Candidate]) -> None:
    """Raises IndexFormatError if one name has two contents."""
    seen: dict[str, Candidate] = {}
    for candidate in found:
        first = seen.setdefault(candidate.published.filename, candidate)
        if first.published.sha256 != candidate.published.sha256:
            raise IndexFormatError(
                f"two different wheels are named {candidate.published.filename}",
                where=str(candidate.source),
                fix="publish one of them",
            )


def add(root: Path, candidate: Candidate) -> None:
    """Put a wheel and its METADATA into the pool, durably. The wheel comes last: where it is, its METADATA is."""
    place = root / candidate.published.location
    if _is_whole(place, candidate):
        return
    make_dirs(place.parent)
    write_atomic(place.with_name(place.name + ".metadata"), candidate.metadata)
    temporary = place.parent / temporary_name(".new")
    try:
        if not _link(candidate.source, temporary):
            _copy(candidate.source, temporary, candidate.published.sha256)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_dir(place.parent)


def _is_whole(place: Path, candidate: Candidate) -> bool:
    """Whether the pool's file is the candidate itself, which was just verified, or a copy without damage."""
    if not place.is_file() or not place.with_name(place.name + ".metadata").is_file():
        return False
    if place.samefile(candidate.source):
        return True
    return file_sha256(place) == candidate.published.sha256


def sweep(root: Path, live: Collection[str]) -> tuple[str, ...]:
    """Remove the files whose sha256 is not in `live`; returns the hashes that went."""
    gone = []
    for folder in sorted((root / "files").glob("[0-9a-f][0-9a-f]/*")):
        if is_hash(folder.name) and folder.name not in live:
            shutil.rmtree(folder)
            gone.append(folder.name)
    return tuple(gone)


def clean(root: Path) -> None:
    """Remove what a killed writer left. Only called under the index's lock, so no living writer owns any of it."""
    for place in root.glob(".*@*"):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    """Hard-link a file that nobody may write to; others could change under the index."""
    if source.is_symlink() or source.stat().st_mode & 0o222:
        return False
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            return False
        raise
    return True


def _copy(source: Path, target: Path, sha256: str) -> None:
    """Copy, and notice if the source changed since it was looked at."""
    if copy_new(source, target)[0] != sha256:
        raise IndexFormatError("changed while it was being published", where=str(source), fix="publish it again")
