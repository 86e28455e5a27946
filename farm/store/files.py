"""Writing files so that a kill or a power cut leaves the old one, the new one, or nothing: never half of one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from farm.errors import StoreError
from farm.store.owner import this_process

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20
_counter = itertools.count()


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's errors into StoreErrors that say what to do."""
    try:
        yield
    except OSError as error:
        raise store_error(error, place) from error


def store_error(error: OSError, place: Path | None = None) -> StoreError:
    """What the operating system refused, and what to do; `place` is where, if the error itself does not say."""
    if isinstance(error, shutil.Error):  # of a whole tree: a list of (source, target, why), without numbers
        error = _first_of(error)
    if is_full(error):
        return StoreError(
            "no space left on the device; nothing half-written was kept",
            where=str(place or error.filename or ""),
            fix="free some space (`farm gc` removes what no live generation needs) and run the command again",
        )
    where = error.filename or place or ""
    return StoreError(
        f"{error.strerror or error}",
        where=where if isinstance(where, str) else os.fsdecode(where) if isinstance(where, bytes) else str(where),
        fix="check the path, the disk and the permissions (FARM_HOME, the cache, what the command line names)",
    )


def is_full(error: OSError) -> bool:
    """Whether a disk, a quota or a limit of file sizes said no."""
    return error.errno in _FULL


def _first_of(error: shutil.Error) -> OSError:
    rows = error.args[0] if error.args and isinstance(error.args[0], list) else []
    why = str(rows[0][2]) if rows else str(error)
    number = next((number for number in _FULL if os.strerror(number) in why), 0)
    return OSError(number, why[:500])


def temporary_name(stem: str) -> str:
    """A file name that no other thread or process uses, and that names this process."""
    return f"{stem}.{next(_counter)}{this_process().tag}"


def fsync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_dirs(path: Path) -> None:
    """Create a directory and its parents, durably."""
    if path.is_dir():
        return
    make_dirs(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        fsync_dir(path.parent)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`, durably. Raises OSError; then the old content is still there."""
    temporary = path.parent / temporary_name("." + path.name)
    try:
        write_new(temporary, data, mode=mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write and fsync a file that does not exist yet."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, mode)) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def copy_new(source: Path, target: Path) -> tuple[str, int]:
    """Copy to a file that does not exist yet, durably and read-only. The sha256 and size are of what was written."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fchmod(writer.fileno(), 0o444)
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def write_some(chunks: Iterable[bytes], target: Path, most: int) -> None:
    """Write what a server sends; of more than `most` bytes no more than the chunk that goes beyond them.

    Raises StoreError for what the disk refuses; errors of the connection are the caller's."""
    with disk_errors(target):
        stream = target.open("wb")
    with stream:
        for chunk in chunks:
            with disk_errors(target):
                stream.write(chunk)
                if stream.tell() > most:
                    break
        with disk_errors(target):
            stream.flush()


def publish_dir(target: Path, fill: Callable[[Path], None]) -> None:
    """Make a directory that appears whole or not at all, instead of what is there: `fill` gets an empty one beside it.

    Not durable: for caches, under a lock."""
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        fill(scratch)
        scratch.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def settle_dir(scratch: Path, target: Path) -> None:
    """Give a finished directory its name, unless somebody else was first: what is there then has the same content."""
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def mark_used(path: Path) -> None:
    """Remember, in its time stamp, that something in a cache was used just now: `farm gc` keeps it for a while."""
    with contextlib.suppress(OSError):  # a cache that is only read
        os.utime(path)


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """What a directory holds; nothing if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def file_lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock that the kernel releases when the process dies. Waits until it is free."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def dir_lock(path: Path) -> Iterator[None]:
    """The same of a directory, in which no file is to be left: a recipe's. Where directories cannot be locked (NFS),
    nothing is held."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold a lock if it is free, without waiting and without creating its file: gives False if somebody holds it."""
    try:
        handle = os.open(path, (os.O_RDONLY if shared else os.O_RDWR) | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    try:
        yield free
    finally:
        os.close(handle)
