"""The directory of a zip file, read with suspicion (see `farm.wheel.archive`).

Format: PKWARE's APPNOTE; the checks follow what package indexes began to refuse as "zip confusion".
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import BinaryFormatError
from farm.wheel import advice, handles

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_LOCAL = struct.Struct("<4s5H3L2H")
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8 = 0x0041, 0x0008, 0x0800  # 0x40: strong encryption
_DESCRIPTORS = (12, 16, 20, 24)  # with and without signature and 64-bit sizes
_UNICODE_PATH = 0x7075  # a second name for a member
_BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, IndexError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a wheel may ask of this machine. Sizes in bytes; `ratio` is unpacked : packed, for all of the wheel, looked
    at only when it unpacks to more than `ratio_from` bytes (deflate itself cannot exceed 1032)."""

    members: int = 200_000
    size: int = 16 << 30
    ratio: int = 200
    ratio_from: int = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in a wheel. `offset` is where its packed bytes start; `mode` its permission bits; `date` and `time` its
    DOS timestamp."""

    name: str
    size: int
    packed_size: int
    crc: int
    method: int
    offset: int
    mode: int
    date: int
    time: int

    @property
    def is_executable(self) -> bool:
        """True if anybody may execute it."""
        return bool(self.mode & 0o111)


def fault(path: Path, member: str, what: str) -> BinaryFormatError:
    """The error for a member that no installer should meet."""
    return BinaryFormatError(f"member {member!r} {what}", where=str(path), fix="do not use this wheel; get it again")


def read_directory(path: Path, handle: int, limits: Limits) -> dict[str, Member]:
    """All members after all checks that need no unpacking."""
    size = os.fstat(handle).st_size
    _check_end(path, handle, size)
    try:
        with os.fdopen(os.dup(handle), "rb") as stream, zipfile.ZipFile(stream) as archive:
            entries, start = archive.infolist(), archive.start_dir
    except _BAD_ZIP as error:
        raise BinaryFormatError(
            f"is not a zip archive, or damaged: {error}",
            where=str(path),
            fix=advice.AGAIN,
        ) from error
    _check_limits(path, entries, size, limits)
    members: dict[str, Member] = {}
    end, previous = 0, None
    for entry in sorted(entries, key=lambda e: e.header_offset):
        _check_entry(path, entry, members)
        _check_gap(path, entry.header_offset - end, previous, f"before member {entry.filename!r}")
        members[entry.filename], end = _locate(path, handle, entry, stop=start)
        previous = entry
    _check_gap(path, start - end, previous, "before its directory")
    _check_folders(path, members)
    order = {entry.filename: None for entry in entries if not entry.filename.endswith("/")}
    return {name: members[name] for name in order}


def _check_end(path: Path, handle: int, size: int) -> None:
    tail = handles.read_at(handle, _END.size, max(0, size - _END.size))
    if len(tail) < _END.size or tail[:4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        raise BinaryFormatError(
            "is not a zip archive, is cut short, or has bytes after its end", where=str(path), fix="get it again"
        )
    _, _, _, _, count, length, offset, _ = _END.unpack(tail)
    if 0xFFFFFFFF not in (length, offset) and count != 0xFFFF and offset + length + _END.size != size:
        raise BinaryFormatError(
            "bytes before or in its directory belong to no member",
            where=str(path),
            fix=advice.AGAIN,
        )


def _check_limits(path: Path, entries: list[zipfile.ZipInfo], size: int, limits: Limits) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > limits.members:
        raise BinaryFormatError(
            f"has {len(entries)} members, more than {limits.members}",
            where=str(path),
            fix="if it is to be trusted, split it: no installer expects so many files",
        )
    if total > limits.size or (total > limits.ratio_from and total > size * limits.ratio):
        raise BinaryFormatError(
            f"{size} bytes unpack to {total}: looks like a zip bomb",
            where=str(path),
            fix="do not unpack it; get the wheel from a place that you trust",
        )


def check_name(name: str, where: str) -> None:
    """Refuse member names that could leave their directory or mean different files to different readers."""
    parts = name.removesuffix("/").split("/")
    if (
        any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in name)
        or "\\" in name
        or any(part in ("", ".", "..") for part in parts)
        or name[1:2] == ":"
    ):
        raise BinaryFormatError(
            f"member {name!r} is not a safe relative path", where=where, fix="do not use this wheel"
        )


def _check_entry(path: Path, entry: zipfile.ZipInfo, seen: Mapping[str, Member]) -> None:
    name = entry.orig_filename  # `filename` is cut at the first NUL
    check_name(name, str(path))
    if name in seen or entry.filename != name:
        raise fault(path, name, "is there twice, or under two names")
    if entry.flag_bits & _ENCRYPTED:
        raise fault(path, name, "is encrypted")
    if entry.compress_type not in (STORED, DEFLATED):
        raise fault(path, name, f"is packed with method {entry.compress_type}; installers read deflate and stored only")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > name.endswith("/"):
        raise fault(path, name, "is a symbolic link or a special file")
    if _UNICODE_PATH in _extra_ids(entry.extra):
        raise fault(path, name, "carries a second name")
    if name.endswith("/") and entry.file_size:
        raise fault(path, name, "is a directory with content")


def _extra_ids(extra: bytes) -> Iterator[int]:
    with contextlib.suppress(struct.error):
        while len(extra) >= 4:
            kind, length = struct.unpack_from("<HH", extra)
            yield kind
            extra = extra[4 + length :]


def _check_gap(path: Path, gap: int, previous: zipfile.ZipInfo | None, where: str) -> None:
    """Between members there may be nothing but a data descriptor."""
    if gap < 0:
        raise BinaryFormatError(f"members overlap {where}", where=str(path), fix="do not use this wheel")
    described = previous is not None and previous.flag_bits & _HAS_DESCRIPTOR
    if gap and not (described and gap in _DESCRIPTORS):
        raise BinaryFormatError(
            f"{gap} bytes {where} belong to no member",
            where=str(path),
            fix=advice.AGAIN,
        )


def _locate(path: Path, handle: int, entry: zipfile.ZipInfo, *, stop: int) -> tuple[Member, int]:
    """The member and the offset of its end, after comparing its local header with the directory."""
    name = entry.filename
    head = handles.read_at(handle, _LOCAL.size, entry.header_offset)
    if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
        raise fault(path, name, "has no header: the wheel is damaged")
    _, _, flags, method, time, date, crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    raw_name = handles.read_at(handle, name_length, entry.header_offset + _LOCAL.size)
    encoded = name.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437")
    same = raw_name == encoded and method == entry.compress_type and not flags & _ENCRYPTED
    if not flags & _HAS_DESCRIPTOR:
        same = same and crc == entry.CRC and packed in (entry.compress_size, 0xFFFFFFFF)
        same = same and size in (entry.file_size, 0xFFFFFFFF)
    if not same:
        raise fault(path, name, "has a header that disagrees with the directory")
    offset = entry.header_offset + _LOCAL.size + name_length + extra_length
    if offset + entry.compress_size > stop:
        raise fault(path, name, "is cut short")
    if entry.compress_type == STORED and entry.compress_size != entry.file_size:
        raise fault(path, name, "is stored with two different sizes")
    member = Member(
        name=name,
        size=entry.file_size,
        packed_size=entry.compress_size,
        crc=entry.CRC,
        method=entry.compress_type,
        offset=offset,
        mode=(entry.external_attr >> 16) & 0o777 or 0o644,
        date=date,
        time=time,
    )
    return member, offset + entry.compress_size


def _check_folders(path: Path, members: Mapping[str, Member]) -> None:
    """A file must not be a directory of another member."""
    folders = {name[:i] for name in members for i, letter in enumerate(name) if letter == "/"}
    for name in members:
        if not name.endswith("/") and name in folders:
            raise fault(path, name, "is a file and a directory")
