"""Writing wheels whose bytes depend on their content only: a small zip writer that can also take packed members over.

`zipfile` cannot copy a member without unpacking and packing it again; that copy is what makes a metadata edit cheap.

Deflate is the standard library's zlib at a fixed level. zlib-ng would take 38 % of the time, but what it writes differs
with its release and with the instruction sets of the machine it runs on, so two builders would not agree; classic zlib
has written the same bytes for years. A Python whose zlib *is* zlib-ng is noticed by `compressor` and reported.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from farm.errors import BinaryFormatError
from farm.wheel.archive import WheelArchive
from farm.wheel.directory import DEFLATED, STORED, Member, check_name

_log = logging.getLogger(__name__)
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_UTF8 = 0x0800
_MADE_BY = 3 << 8 | 20  # unix, so that the mode bits count; zip 2.0
_MAX = 0xFFFFFFFF
_LEVEL = 9  # packed once, downloaded often
REFERENCE_COMPRESSOR = "deflate-9-e7ff9692e5e5"  # zlib 1.2.13


class WheelWriter:
    """Writes members in the order they are added. Timestamps are `epoch_seconds` (UTC), modes 0644 or 0755."""

    def __init__(self, stream: BinaryIO, *, epoch_seconds: int, where: str) -> None:
        self._stream = stream
        self._where = where
        self._date, self._time = dos_time(epoch_seconds)
        self._offset = 0
        self._entries: list[bytes] = []
        _warn_of_other_compressor()

    def add(self, name: str, content: bytes, *, executable: bool = False, level: int = _LEVEL) -> None:
        """Pack and write a member at a deflate level (1..9); what deflate cannot make smaller is stored."""
        check_name(name, self._where)
        packed, method = deflate(content, level), DEFLATED
        if len(packed) >= len(content):
            packed, method = content, STORED
        member = Member(
            name=name,
            size=len(content),
            packed_size=len(packed),
            crc=zlib.crc32(content),
            method=method,
            offset=0,
            mode=0o755 if executable else 0o644,
            date=self._date,
            time=self._time,
        )
        self._write(member, (packed,))

    def copy(self, archive: WheelArchive, member: Member) -> None:
        """Take a member of another wheel over as it is packed there, with its timestamp."""
        self._write(member, archive.raw(member.name))

    def finish(self) -> None:
        """Write the directory."""
        directory = b"".join(self._entries)
        count = len(self._entries)
        if count > 0xFFFF or self._offset + len(directory) > _MAX:
            raise BinaryFormatError(
                "would have more than 65,535 members or 4 GB, which needs ZIP64", where=self._where, fix="split it"
            )
        self._stream.write(directory)
        self._stream.write(_END.pack(b"PK\5\6", 0, 0, count, count, len(directory), self._offset, 0))

    def _write(self, member: Member, packed: Iterable[bytes]) -> None:
        name = member.name.encode("utf-8")
        flags = 0 if member.name.isascii() else _UTF8
        if max(member.size, member.packed_size, self._offset) > _MAX:
            raise BinaryFormatError(f"would exceed 4 GB at {member.name!r}", where=self._where, fix="split it")
        common = (
            flags,
            member.method,
            member.time,
            member.date,
            member.crc,
            member.packed_size,
            member.size,
            len(name),
            0,
        )
        mode = 0o100755 if member.is_executable else 0o100644
        self._entries.append(_CENTRAL.pack(b"PK\1\2", _MADE_BY, 20, *common, 0, 0, 0, mode << 16, self._offset) + name)
        self._stream.write(_LOCAL.pack(b"PK\3\4", 20, *common) + name)
        for piece in packed:
            self._stream.write(piece)
        self._offset += _LOCAL.size + len(name) + member.packed_size


def deflate(content: bytes, level: int = _LEVEL) -> bytes:
    """The content as a raw deflate stream (RFC 1951), as zip archives hold it."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


@functools.cache
def compressor() -> str:
    """What this machine's zlib writes, as a name: two machines with the same name pack the same wheel."""
    words = b"".join(hashlib.sha256(bytes((i,))).hexdigest().encode() * (i % 7) for i in range(256))
    return f"deflate-{_LEVEL}-{hashlib.sha256(deflate(words)).hexdigest()[:12]}"


@functools.cache
def _warn_of_other_compressor() -> None:
    if compressor() != REFERENCE_COMPRESSOR:
        _log.warning(
            "this Python's zlib (%s) packs differently from zlib 1.x: same content as on other machines, other bytes",
            zlib.ZLIB_RUNTIME_VERSION,
        )


def dos_time(epoch_seconds: int) -> tuple[int, int]:
    """Zip's date and time words; earlier than 1980 becomes 1980, later than 2107 becomes the last second there is."""
    earliest, latest = 315532800, 4354819198
    t = time.gmtime(min(max(epoch_seconds, earliest), latest))
    return (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday, t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2


def regular_files(tree: Path, where: str) -> dict[str, Path]:
    """Member name -> file, for all files below `tree`. Refuses links and special files: a wheel cannot hold them."""
    found: dict[str, Path] = {}
    for place in tree.rglob("*"):
        name = place.relative_to(tree).as_posix()
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            raise BinaryFormatError(
                f"{name!r} is a symbolic link or a special file; a wheel cannot hold it",
                where=where,
                fix="put a copy of the file there",
            )
        if place.is_file():
            check_name(name, where)
            found[name] = place
    return found
