"""Reading wheels that others made: nothing in the file is believed before it is checked.

The checks refuse what two readers could understand differently (zip confusion): duplicate members, headers that
disagree with the directory, bytes that belong to no member, comments. Installers differ in whether they read a wheel
from its end (pip) or as a stream (uv); a wheel that passes here is the same for both.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from farm.errors import BinaryFormatError
from farm.wheel import advice, handles, names
from farm.wheel.directory import STORED, Limits, Member, fault, read_directory
from farm.wheel.names import WheelName

__all__ = ["Limits", "Member", "WheelArchive"]
_CHUNK = 1 << 20


class WheelArchive:
    """An open wheel; a context manager. Directory entries are left out of `members`.

    `members` keeps the order of the file. `dist_info` is the wheel's one ``.dist-info`` directory.
    """

    def __init__(self, path: Path, handle: int, members: Mapping[str, Member]) -> None:
        self.path = path
        self.name: WheelName = names.parse(path.name)
        self.members: Mapping[str, Member] = MappingProxyType(dict(members))
        self._handle = handle
        self.dist_info = self._find_dist_info()

    @classmethod
    def open(cls, path: Path, *, limits: Limits | None = None) -> Self:
        """Open and check the directory, not the content (`read` and `extract` do that). Raises BinaryFormatError for
        anything but a sound wheel, naming wheel and member; OSErrors (no such file) as they are."""
        handle = handles.open_to_read(path)
        try:
            return cls(path, handle, read_directory(path, handle, limits or Limits()))
        except BaseException:
            os.close(handle)
            raise

    def close(self) -> None:
        """Give the file back. Closing twice does no harm."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: str) -> bytes:
        """A member's content; its size and CRC are checked, and no more than the declared size is ever unpacked."""
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's content in pieces. The last piece comes only after size and CRC were found right."""
        member = self._member(name)
        crc = size = 0
        held = b""
        for piece in self._unpack(member):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            if size > member.size:
                raise self._fault(name, f"unpacks to more than the {member.size} bytes it declares")
            if held:
                yield held
            held = piece
        if size != member.size or crc != member.crc:
            raise self._fault(name, "is damaged: its size or CRC is not what the directory says")
        yield held

    def raw(self, name: str) -> Iterator[bytes]:
        """The packed bytes of a member, as they are in the file."""
        member = self._member(name)
        offset, left = member.offset, member.packed_size
        while left:
            piece = handles.read_at(self._handle, min(left, _CHUNK), offset)
            if not piece:
                raise self._fault(name, "is cut short")
            yield piece
            offset, left = offset + len(piece), left - len(piece)

    def extract(self, target: Path, *, prefix: str = "") -> None:
        """Unpack the members whose names start with `prefix` below `target` (which need not exist), keeping executable
        bits. Files there are replaced. Only safe names exist here, but `target` must hold no foreign symlinks."""
        made: set[Path] = set()
        for member in self.members.values():
            if not member.name.startswith(prefix):
                continue
            place = target / member.name
            if place.parent not in made:
                place.parent.mkdir(parents=True, exist_ok=True)
                made.add(place.parent)
            place.unlink(missing_ok=True)
            with place.open("xb") as stream:
                for piece in self.chunks(member.name):
                    stream.write(piece)
                handles.set_mode(stream.fileno(), 0o755 if member.is_executable else 0o644)

    def dist_info_file(self, name: str) -> str:
        """The member name of a file in ``.dist-info``: ``METADATA`` -> ``x-1.0.dist-info/METADATA``."""
        return f"{self.dist_info}/{name}"

    def _member(self, name: str) -> Member:
        try:
            return self.members[name]
        except KeyError:
            raise BinaryFormatError(
                f"has no member {name!r}",
                where=str(self.path),
                fix=advice.AGAIN,
            ) from None

    def _unpack(self, member: Member) -> Iterator[bytes]:
        if member.method == STORED:
            yield from self.raw(member.name)
            return
        inflater = zlib.decompressobj(-15)
        try:
            for piece in self.raw(member.name):
                rest = piece
                while rest and not inflater.eof:
                    yield inflater.decompress(rest, _CHUNK)
                    rest = inflater.unconsumed_tail
                if inflater.eof and (rest or inflater.unused_data):
                    break
            while not inflater.eof and (tail := inflater.decompress(inflater.unconsumed_tail, _CHUNK)):
                yield tail
        except zlib.error as error:
            raise self._fault(member.name, f"cannot be unpacked: {error}") from error
        if not inflater.eof or inflater.unused_data:
            raise self._fault(member.name, "is damaged: its packed bytes end too early or too late")

    def _find_dist_info(self) -> str:
        folders = {name.partition("/")[0] for name in self.members if name.partition("/")[0].endswith(".dist-info")}
        if len(folders) != 1:
            found = ", ".join(sorted(folders)) or "none"
            raise BinaryFormatError(
                f"needs exactly one .dist-info directory, has {found}",
                where=str(self.path),
                fix=advice.REPACK,
            )
        (folder,) = folders
        if not self.name.is_dist_info(folder):
            raise BinaryFormatError(
                f"its directory {folder} belongs to another wheel",
                where=str(self.path),
                fix=advice.RENAMED,
            )
        return folder

    def _fault(self, member: str, what: str) -> BinaryFormatError:
        return fault(self.path, member, what)
