"""One look at a wheel that others made: every hash of RECORD checked, every binary read, in a single pass."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm.binary import formats
from farm.errors import BinaryFormatError
from farm.model.binary import BinaryFormat
from farm.repair.graft import Binary
from farm.wheel import metadata, record
from farm.wheel.archive import WheelArchive
from farm.wheel.metadata import Headers
from farm.wheel.names import installed
from farm.wheel.platforms import platform_tag
from farm.wheel.record import RecordEntry

_FORMATS = {"windows": BinaryFormat.PE, "macos": BinaryFormat.MACHO}  # of the families of tags; ELF of all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a repair needs to know of a wheel. `places` maps each importable file's place below the site directory to
    its member; `headers` is its METADATA."""

    headers: Headers
    purelib: bool
    binaries: tuple[Binary, ...]
    places: Mapping[str, str]

    def package_of(self, place: str) -> str | None:
        """The topmost regular package a file lies in (below namespace packages), None if it lies in none."""
        parts = place.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if f"{folder}/__init__.py" in self.places:
                return folder
        return None


def look(archive: WheelArchive) -> Contents:
    """Read a wheel. Raises BinaryFormatError if a RECORD hash, a METADATA or a library is not what it should be."""
    wanted = _FORMATS.get(platform_tag(archive.name.platform.partition(".")[0]).family, BinaryFormat.ELF)
    where = str(archive.path)
    entries = record.read(archive)
    if any(entry.digest and not entry.digest.startswith("sha256=") for entry in entries.values()):
        record.verify(archive)
    binaries: list[Binary] = []
    for member in archive.members:
        content = archive.read(member)
        expected = entries.get(member)
        if expected and expected.digest.startswith("sha256="):
            _check_digest(expected, content, where)
        if formats.detect(content[: formats.HEAD_SIZE]) is wanted and (found := _binary(archive, member, content)):
            binaries.append(found)
    headers = metadata.parse_metadata(archive.read(archive.dist_info_file("METADATA")), archive.name, where)
    wheel_file = metadata.parse_headers(archive.read(archive.dist_info_file("WHEEL")), where)
    return Contents(
        headers=headers,
        purelib=wheel_file.get("Root-Is-Purelib").strip().lower() == "true",
        binaries=tuple(binaries),
        places={place: member for member in archive.members if (place := installed(member)) is not None},
    )


def mentions(archive: WheelArchive, names: frozenset[str]) -> frozenset[str]:
    """Those of `names` that a Python file of the wheel speaks of."""
    wanted = {name: name.encode() for name in names}
    found: set[str] = set()
    for member in archive.members if wanted else ():
        if member.endswith(".py"):
            content = archive.read(member)
            found.update(name for name, text in wanted.items() if text in content)
    return frozenset(found)


def folders(members: Iterable[str]) -> frozenset[str]:
    """The directories that these lie in."""
    return frozenset(posixpath.dirname(member) for member in members)


def _binary(archive: WheelArchive, member: str, content: bytes) -> Binary | None:
    try:
        linkage = formats.read_bytes(content, f"{archive.path}: {member}")
    except BinaryFormatError:
        if ".so" in posixpath.basename(member) or member.endswith((".pyd", ".dll", ".dylib")):
            raise
        return None  # test data and the like: nothing that is loaded
    return Binary(member=member, place=installed(member), linkage=linkage) if linkage else None


def _check_digest(entry: RecordEntry, content: bytes, where: str) -> None:
    if RecordEntry.of(entry.path, content).digest != entry.digest.rstrip("="):
        raise BinaryFormatError(
            f"member {entry.path!r} does not have the hash RECORD says",
            where=where,
            fix="the wheel was changed after it was made; get it again",
        )
