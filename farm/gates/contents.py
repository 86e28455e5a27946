"""A wheel as the checks see it: everything in memory, nothing left to open."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.binary import formats
from farm.binary.lookup import LOOKUPS, below
from farm.errors import BinaryFormatError
from farm.gates.judge import Verdict
from farm.model.binary import Linkage
from farm.model.finding import Finding, Severity
from farm.model.native import NativeManifest
from farm.wheel import native_manifest, record
from farm.wheel.archive import WheelArchive
from farm.wheel.metadata import Headers, parse_metadata
from farm.wheel.names import WheelName, installed

HWCAPS = "glibc-hwcaps/"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """All members of a wheel, and what was read from them.

    `files` maps member names to content, `binaries` the binary ones to their linkage. `metadata` is empty and
    `manifest` None where they are missing; what could not be read is in `faults`. `verdict` is the judge's of its
    platform, None if there is nothing to judge.
    """

    path: Path
    name: WheelName
    dist_info: str
    files: Mapping[str, bytes]
    binaries: Mapping[str, Linkage]
    metadata: Headers
    manifest: NativeManifest | None
    faults: tuple[Finding, ...] = ()
    verdict: Verdict | None = None

    @property
    def is_native(self) -> bool:
        """True if this is, or claims to be, a native wheel."""
        return self.manifest is not None or self.name.project.startswith("native-")

    def installed(self, member: str) -> str | None:
        """Where a member goes, relative to site-packages; None if it goes elsewhere (scripts, data)."""
        return installed(member)

    def search_path(self, member: str) -> tuple[str, ...]:
        """The directories relative to site-packages that the loader searches for what a binary needs.

        Entries that are not relative to the binary are left out; those that leave site-packages start with ``..``.
        """
        place = self.installed(member)
        if place is None:
            return ()
        linkage = self.binaries[member]
        style = LOOKUPS[linkage.format]
        folder = posixpath.dirname(place)
        found = [below(folder, ".")] if style.own_directory else []
        for entry in linkage.runpath or linkage.rpath:
            rest = style.below_origin(entry)
            if rest is not None:
                found.append(below(folder, rest))
        return tuple(found)


def hwcaps_level(member: str) -> str:
    """``x86-64-v3`` for a library in a ``glibc-hwcaps/x86-64-v3/`` directory, else empty."""
    _, found, rest = member.partition(HWCAPS)
    return rest.partition("/")[0] if found and "/" in rest else ""


def load(path: Path) -> WheelContents:
    """Read a wheel. Raises BinaryFormatError if the archive itself is not a sound wheel (symlinks among its members,
    paths that escape, two readings of one file); what is wrong inside becomes `faults`."""
    with WheelArchive.open(path) as archive:
        files = {name: archive.read(name) for name in archive.members}
        faults = list(_record_faults(archive))
        binaries: dict[str, Linkage] = {}
        for name, data in files.items():
            try:
                linkage = formats.read_bytes(data, name)
            except BinaryFormatError as error:
                faults.append(_fault("binary", name, error))
                continue
            if linkage is not None:
                binaries[name] = linkage
        metadata = _metadata(archive, files, faults)
        return WheelContents(
            path=path,
            name=archive.name,
            dist_info=archive.dist_info,
            files=files,
            binaries=binaries,
            metadata=metadata,
            manifest=_manifest(archive, files, faults),
            faults=tuple(faults),
        )


def archive_fault(path: Path, error: BinaryFormatError) -> Finding:
    """The finding for a wheel that cannot be opened at all."""
    return _fault("archive", path.name, error)


def _fault(check: str, file: str, error: BinaryFormatError) -> Finding:
    fix = error.fix or "build the wheel again"
    return Finding(check=check, severity=Severity.ERROR, file=file, fact=error.what, fix=fix)


def _record_faults(archive: WheelArchive) -> list[Finding]:
    try:
        record.verify(archive)
    except BinaryFormatError as error:
        return [_fault("record", archive.dist_info_file("RECORD"), error)]
    return []


def _metadata(archive: WheelArchive, files: Mapping[str, bytes], faults: list[Finding]) -> Headers:
    member = archive.dist_info_file("METADATA")
    try:
        if member not in files:
            raise BinaryFormatError("is missing", where=member, fix="build the wheel with a PEP 517 backend")
        return parse_metadata(files[member], archive.name, member)
    except BinaryFormatError as error:
        faults.append(_fault("metadata", member, error))
        return Headers()


def _manifest(archive: WheelArchive, files: Mapping[str, bytes], faults: list[Finding]) -> NativeManifest | None:
    member = archive.dist_info_file(native_manifest.MANIFEST)
    try:
        return native_manifest.parse(files[member], member) if member in files else None
    except BinaryFormatError as error:
        faults.append(_fault("native-manifest", member, error))
        return None
