"""RECORD: what a wheel says it holds (PEP 376, PEP 427)."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import BinaryFormatError
from farm.wheel import advice
from farm.wheel.archive import WheelArchive

_STRONG = ("sha256", "sha384", "sha512")  # PEP 427: sha256 or better
_SIZE = re.compile(r"[0-9]{0,20}")  # 2**64 has 20 digits
_SHOWN = 200  # letters of a malformed line
UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")  # they cannot list themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEntry:
    """One line: `digest` is ``sha256=<urlsafe base64 without padding>`` or empty, `size` in bytes or None."""

    path: str
    digest: str
    size: int | None

    @classmethod
    def of(cls, path: str, content: bytes) -> RecordEntry:
        """The line of a member with this content."""
        return cls(path=path, digest=encode_digest("sha256", hashlib.sha256(content).digest()), size=len(content))


def encode_digest(algorithm: str, digest: bytes) -> str:
    """A digest as RECORD writes it: URL-safe base64 without padding (PEP 376, PEP 427)."""
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def parse(text: bytes, where: str) -> dict[str, RecordEntry]:
    """Lines by path. Raises BinaryFormatError for a line that is malformed or there twice."""
    entries: dict[str, RecordEntry] = {}
    try:
        rows = list(csv.reader(io.StringIO(text.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise BinaryFormatError(
            f"RECORD cannot be read: {error}",
            where=where,
            fix=advice.REPACK,
        ) from error
    for row in filter(None, rows):
        if len(row) != 3 or not _SIZE.fullmatch(row[2]):
            raise BinaryFormatError(
                f"RECORD has the malformed line {','.join(row)[:_SHOWN]!r}",
                where=where,
                fix=advice.REPACK,
            )
        if row[0] in entries:
            raise BinaryFormatError(
                f"RECORD lists {row[0]!r} twice",
                where=where,
                fix=advice.REPACK,
            )
        entries[row[0]] = RecordEntry(path=row[0], digest=row[1], size=int(row[2]) if row[2] else None)
    return entries


def make(entries: Iterable[RecordEntry], record: str) -> bytes:
    """The RECORD named `record`, with the lines in the order given and itself last."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for entry in entries:
        writer.writerow((entry.path, entry.digest, "" if entry.size is None else entry.size))
    writer.writerow((record, "", ""))
    return out.getvalue().encode("utf-8")


def read(archive: WheelArchive) -> dict[str, RecordEntry]:
    """The RECORD of an open wheel, each member listed once and nothing else; hashes are not looked at."""
    where = str(archive.path)
    record = archive.dist_info_file("RECORD")
    if record not in archive.members:
        raise BinaryFormatError("has no RECORD", where=where, fix="do not use this wheel; get it again")
    entries = parse(archive.read(record), where)
    unlisted = [name for name in archive.members if name not in entries and not _is_unhashed(archive, name)]
    if unlisted:
        raise _lie(archive, unlisted[0], "is not listed in RECORD")
    for name, entry in entries.items():
        if name not in archive.members:
            raise _lie(archive, name, "is listed in RECORD but not there")
        if entry.size is not None and entry.size != archive.members[name].size:
            raise _lie(archive, name, f"has {archive.members[name].size} bytes, RECORD says {entry.size}")
        if not entry.digest and not _is_unhashed(archive, name):
            raise _lie(archive, name, "has no hash in RECORD")
    return entries


def verify(wheel: Path | WheelArchive) -> Mapping[str, RecordEntry]:
    """Check every member against RECORD: all listed, once, with the right hash and size; nothing extra or missing.

    Reads the whole wheel. Returns the lines. Raises BinaryFormatError naming wheel and member.
    """
    if isinstance(wheel, Path):
        with WheelArchive.open(wheel) as archive:
            return verify(archive)
    entries = read(wheel)
    for name, entry in entries.items():
        if entry.digest:
            _verify_digest(wheel, name, entry.digest)
    return entries


def _verify_digest(archive: WheelArchive, name: str, digest: str) -> None:
    algorithm, _, encoded = digest.partition("=")
    if algorithm not in _STRONG:
        raise _lie(archive, name, f"has a {algorithm!r} hash in RECORD; the standard asks for sha256 or better")
    try:
        expected = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _lie(archive, name, "has a hash in RECORD that is not urlsafe base64") from None
    actual = hashlib.new(algorithm)
    for piece in archive.chunks(name):
        actual.update(piece)
    if actual.digest() != expected:
        raise _lie(archive, name, "does not have the hash RECORD says")


def _is_unhashed(archive: WheelArchive, name: str) -> bool:
    return name in {archive.dist_info_file(file) for file in UNHASHED}


def _lie(archive: WheelArchive, member: str, what: str) -> BinaryFormatError:
    return BinaryFormatError(
        f"member {member!r} {what}",
        where=str(archive.path),
        fix="the wheel was changed after it was made; get it again",
    )
