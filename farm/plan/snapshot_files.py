"""Where snapshots lie, and how they are written. On the way of every `farm plan`: see `farm.plan.snapshot`."""

from __future__ import annotations

import os
import sys
import zlib

TYPE_CHECKING = False  # importing typing costs more than the rest of this module
if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]

_MAGIC = f"farm-snapshot 1 {sys.hexversion:x} {sys.byteorder}"  # marshal is private to a Python version
_KEPT = 32  # snapshots of different requests


def place(home: StrPath, request: str) -> str:
    """The file of a request below FARM_HOME."""
    return os.path.join(_folder(home), f"{zlib.crc32(request.encode('utf-8', 'surrogatepass')):08x}.snapshot")  # noqa: PTH118


def head(body: bytes) -> bytes:
    """The first line of a file with this content: it covers all of it."""
    return f"{_MAGIC} {len(body)} {zlib.crc32(body):08x}".encode()


def write(place: str, body: bytes) -> None:
    """Atomic, but not fsynced: it is a cache with a checksum. The oldest of too many snapshots are removed."""
    folder = os.path.dirname(place)  # noqa: PTH120
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    temporary = f"{place}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as stream:  # noqa: PTH123 - pathlib costs start-up time
            stream.write(head(body) + b"\n" + body)
        os.replace(temporary, place)  # noqa: PTH105
    except BaseException:
        remove(temporary)
        raise
    for path in _newest_first(folder)[_KEPT:]:
        remove(path)


def all_of(home: StrPath) -> list[str]:
    """The files of all requests, the newest first."""
    return _newest_first(_folder(home))


def remove(path: str) -> None:
    """Remove a file if it is there."""
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def _folder(home: StrPath) -> str:
    return os.path.join(home, "plan")  # noqa: PTH118


def _newest_first(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]
