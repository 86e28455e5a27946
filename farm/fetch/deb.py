"""The files of a Debian binary package (deb(5)): an `ar` archive with a compressed tar file in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from farm.errors import SourceError
from farm.fetch import archives

_MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
_NOT_USABLE = "pin another package: this one is damaged or none"


def unpack(package: Path, into: Path, *, rename: Callable[[str], str | None]) -> None:
    """Unpack the package's files over what is in `into`; see `archives.unpack_system`. Raises SourceError."""
    with tempfile.TemporaryDirectory(prefix=".deb-", dir=into.parent) as scratch, package.open("rb") as stream:
        for name, size in _members(stream, package.name):
            if name.startswith("data.tar"):
                data = Path(scratch) / name
                with data.open("wb") as out:
                    _copy(stream, out, size, package.name)
                archives.unpack_system(data, into, rename=rename)
                return
    raise SourceError("holds no data.tar: it is no Debian package", where=package.name, fix=_NOT_USABLE)


def _members(stream: IO[bytes], where: str) -> Iterator[tuple[str, int]]:
    """Name and size of each member; the stream stands at its first byte."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise SourceError("is no Debian package", where=where, fix=_NOT_USABLE)
    while header := stream.read(_HEADER):
        digits = header[48:58].strip()
        if len(header) != _HEADER or header[58:] != _END or not digits.isdigit():
            raise SourceError("damaged package: a member's header is wrong", where=where, fix=_NOT_USABLE)
        size, start = int(digits), stream.tell()
        name = header[:16].rstrip().rstrip(b"/").decode("ascii", "replace")
        yield Path(name).name, size
        stream.seek(start + size + size % 2)


def _copy(stream: IO[bytes], out: IO[bytes], size: int, where: str) -> None:
    block = min(size, 1 << 20)
    while size and (data := stream.read(min(block, size))):
        out.write(data)
        size -= len(data)
    if size:
        raise SourceError("damaged package: it is cut short", where=where, fix=_NOT_USABLE)
