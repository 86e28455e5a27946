"""Nothing to do? Answered from file stats, without reading a single recipe.

After a run that found (or made) everything up to date, `save` records for that request the stat of every input, the
artifacts of its steps, and what to say. The next run of the same request compares: if no stat changed and every
artifact is still in the store, nothing can have changed. Little of the standard library and nothing else is imported:
this is on the way of every `farm plan` and `farm build`.

What makes it safe:

- mtime, ctime, size and inode of every input count; tools that keep the mtime cannot set the ctime back. Directories
  are inputs too, so a new, removed or renamed file is seen. Inputs that do not exist are recorded as missing.
- A file that changed while the catalog was read, or shortly before, could change once more without a visible change
  of its time stamps (git's "racily clean" entries). `save` then does not save, and the next run takes the long way
  again. So `started_ns` must be taken *before* anything is read.
- The farm's own code and the Python that runs it are inputs.
- A damaged, cut or foreign snapshot is ignored: a checksum covers all of it.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from farm.plan import snapshot_files

TYPE_CHECKING = False  # importing typing costs more than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    StrPath = str | os.PathLike[str]
    Stamp = tuple[int, int, int, int]  # mtime ns, ctime ns, size, inode
    Folder = tuple[str, Stamp, str]  # relative to the store; its stamp, or _UNTRUSTED; the names expected in it

_SLACK_NS = 2_000_000_000  # the coarsest time stamps in use (FAT), and small clock differences of file servers
_MISSING = (0, 0, (1 << 64) - 1, 0)
_UNTRUSTED = (0, 0, 0, 0)


class Summary:
    """What the last run of the request found: how many steps are up to date, and further lines to show."""

    __slots__ = ("notes", "steps")

    def __init__(self, steps: int, notes: tuple[str, ...]) -> None:
        self.steps = steps
        self.notes = notes


def check(home: StrPath, request: str) -> Summary | None:
    """The summary of the last run of `request` if all its inputs and outputs are as they were, else None.

    `home` is FARM_HOME; `request` is any text that says all that was asked for. Never raises for a bad snapshot.
    """
    place = snapshot_files.place(home, request)
    try:
        with open(place, "rb") as stream:  # noqa: PTH123 - pathlib costs start-up time
            head, _, body = stream.read().partition(b"\n")
        if head != snapshot_files.head(body):
            return None
        content = marshal.loads(body)  # noqa: S302 - the farm's own file, checksummed
        saved, steps, notes, root, inputs, store, folders, wheels = content
        if saved != request or not _same(root, *inputs) or not _sized(store, *wheels):
            return None
        renewed = _listed(store, folders)
        if renewed is None:
            return None
        if renewed != folders:
            snapshot_files.write(place, marshal.dumps((*content[:6], renewed, wheels)))
        return Summary(steps, notes)
    except (OSError, ValueError, TypeError, EOFError):
        return None


def save(
    home: StrPath,
    request: str,
    *,
    started_ns: int,
    root: StrPath,
    inputs: Iterable[StrPath],
    store: StrPath,
    wheels: Iterable[tuple[str, StrPath, int]],
    notes: tuple[str, ...] = (),
    slack_ns: int = _SLACK_NS,
) -> bool:
    """Remember that `request` has nothing to do. False if that would not be safe (inputs changed just now).

    `started_ns` is `time.time_ns()` from before the first input was read; `inputs` are files and directories, most of
    them below `root`; the farm's own code is added. `wheels` gives build key, path (below `store`) and size in bytes of
    every step's artifact; their pointers are expected as ``<store>/keys/<key[:2]>/<key>.json``. Raises OSError if it
    cannot be written.
    """
    paths = sorted({os.fspath(path) for path in (*inputs, *_own_code())})
    stamps = [_stamp(path) for path in paths]
    if any(_fresh(stamp, started_ns - slack_ns) for stamp in stamps):
        return False
    found = [(key, os.fspath(path), size) for key, path, size in wheels]
    if any("\0" in text for text in (*paths, *(path for _, path, _ in found))):
        return False
    content = (
        request,
        len(found),
        notes,
        os.fspath(root),
        ("\0".join(_below(root, paths)), _pack(number for stamp in stamps for number in stamp)),
        os.fspath(store),
        _folders(os.fspath(store), [key for key, _, _ in found], time.time_ns() - slack_ns),
        ("\0".join(_below(store, [path for _, path, _ in found])), _pack(size for _, _, size in found)),
    )
    snapshot_files.write(snapshot_files.place(home, request), marshal.dumps(content))
    return True


def forget(home: StrPath) -> None:
    """Remove all snapshots: the next run of every request takes the long way."""
    for path in snapshot_files.all_of(home):
        snapshot_files.remove(path)


def _same(root: str, paths: str, packed: bytes) -> bool:
    """Whether every input has the stamp it had."""
    stat = os.stat
    numbers = iter(_unpack(packed))
    with _Opened(root) as at:
        for path, stamp in zip(_split(paths), zip(numbers, numbers, numbers, numbers, strict=True), strict=True):
            try:
                now = stat(path, dir_fd=at)
            except OSError:
                if stamp != _MISSING:
                    return False
                continue
            if (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino) != stamp:
                return False
    return True


def _sized(store: str, paths: str, packed: bytes) -> bool:
    """Whether every artifact is there with its size."""
    stat = os.stat
    with _Opened(store) as at:
        return [stat(path, dir_fd=at).st_size for path in _split(paths)] == _unpack(packed)


def _listed(store: str, folders: list[Folder]) -> list[Folder] | None:
    """The folders with stamps as they are now if all pointers are there, else None.

    A folder whose stamp did not change has the entries it had; else it is listed.
    """
    limit = time.time_ns() - _SLACK_NS
    renewed = []
    for name, known, expected in folders:
        path = f"{store}/{name}"
        stamp = _stamp(path)  # before the listing
        if stamp != known or stamp == _UNTRUSTED:
            if not set(_split(expected)).issubset(os.listdir(path)):  # noqa: PTH208
                return None
            stamp = _UNTRUSTED if _fresh(stamp, limit) else stamp
        renewed.append((name, stamp, expected))
    return renewed


def _folders(store: str, keys: Iterable[str], limit: int) -> list[Folder]:
    names: dict[str, set[str]] = {}
    for key in keys:
        names.setdefault(f"keys/{key[:2]}", set()).add(f"{key}.json")
    folders = []
    for name, expected in sorted(names.items()):
        stamp = _stamp(f"{store}/{name}")
        # The store was read before now: what was removed since must show, so a fresh stamp is not trusted.
        folders.append((name, _UNTRUSTED if _fresh(stamp, limit) else stamp, "\0".join(sorted(expected))))
    return folders


class _Opened:
    """A directory by which paths are looked up: shorter paths take less time. Absolute ones are not affected."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _below(root: StrPath, paths: list[str]) -> list[str]:
    start = f"{os.fspath(root)}/"
    return [path.removeprefix(start) for path in paths]


def _split(text: str) -> list[str]:
    return text.split("\0") if text else []


def _pack(numbers: Iterable[int]) -> bytes:
    return b"".join([(number & 0xFFFFFFFFFFFFFFFF).to_bytes(8, sys.byteorder) for number in numbers])


def _unpack(packed: bytes) -> list[int]:
    return memoryview(packed).cast("Q").tolist()


def _fresh(stamp: Stamp, limit: int) -> bool:
    """Changed at or after `limit` (ns since the epoch)."""
    return stamp[0] >= limit or stamp[1] >= limit


def _stamp(path: str) -> Stamp:
    try:
        now = os.stat(path)  # noqa: PTH116
    except OSError:
        return _MISSING
    return (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino)


def _own_code() -> Iterator[str]:
    """The farm's modules and the packages it reads recipes with, as far as this process has loaded them."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and (name.split(".", 1)[0] == "farm" or name in ("packaging", "pydantic", "pydantic_core")):
            yield path
    yield sys.executable
