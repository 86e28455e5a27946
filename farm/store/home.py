"""FARM_HOME: its layout, its version, its scratch space.

``store/`` artifacts, ``ledger.sqlite`` history, ``index/`` channels, ``logs/<key>.log``, ``abi/`` measured ABIs,
``work/`` scratch of running builds, ``.farm`` says that this is a farm's home and of which format (docs/state.md).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from farm.errors import StoreError
from farm.model import json_text
from farm.store.files import disk_errors, make_dirs, temporary_name, write_atomic
from farm.store.owner import owner_of_name

_log = logging.getLogger(__name__)
FORMAT = 1
_MARKER = ".farm"
_FOLDERS = ("store", "index", "logs", "work")
_KNOWN = {
    *_FOLDERS,
    _MARKER,
    "abi",
    "cache",
    "cascades",
    "fleet",
    "plan",
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-shm",
    "ledger.sqlite.lock",
    "watch.json",
    "watch.json.lock",
}


def prepare(home: Path) -> None:
    """Create what is missing of a farm's home, and remove what dead processes left in `work/`.

    Raises StoreError if the directory belongs to something else or to a newer farm.
    """
    with disk_errors(home):
        if not (home / _MARKER).exists():
            _claim(home)
        _check_format(home / _MARKER)
        for name in _FOLDERS:
            make_dirs(home / name)
    for path in stale_work(home / "work"):
        remove_tree(path)


def require(home: Path) -> None:
    """Raise StoreError if a directory is here that is not a farm's home of this format: its content is not ours."""
    with disk_errors(home):
        if (home / _MARKER).exists():
            _check_format(home / _MARKER)
        elif home.is_dir() and any(home.iterdir()):
            raise StoreError(
                f"is not a farm's home: it has no file {_MARKER}",
                where=str(home),
                fix="set --home or FARM_HOME to the farm's directory",
            )


def log_of(logs: Path, key: str) -> Path:
    """Where the output of the newest try to build a key is, in a farm's directory of logs."""
    return logs / f"{key}.log"


def stale_work(work: Path) -> Iterator[Path]:
    """Work directories and temporary files whose process is dead. Those without an owner's name are not touched."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in work.iterdir():
            owner = owner_of_name(path.name)
            if owner is not None and owner.is_surely_dead():
                yield path


@contextlib.contextmanager
def work_dir(work: Path, name: str) -> Iterator[Path]:
    """A new directory below `work` for this process; removed at the end, or by the next farm if this one is killed."""
    path = work / temporary_name(name)
    with disk_errors(work):
        path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove_tree(path)


def require_free(place: Path, wanted: int) -> None:
    """Raise StoreError if less than `wanted` bytes are free where `place` is (or will be)."""
    there = next(p for p in (place, *place.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < wanted:
        raise StoreError(
            f"only {free / 1e6:.0f} MB are free, {wanted / 1e6:.0f} MB are needed",
            where=str(there),
            fix="free some space: `farm gc` removes what no live generation needs",
        )


def remove_tree(path: Path) -> None:
    """Remove a file or a directory, read-only parts included. What cannot be removed stays, with a warning."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink()
        return
    shutil.rmtree(path, onerror=_make_writable)
    if path.exists():
        _log.warning("%s could not be removed completely", path)


def _make_writable(function: object, name: str, _error: object) -> None:
    """Builds leave read-only directories; open the parent and the thing itself, and try once more."""
    with contextlib.suppress(OSError):
        for path in (Path(name).parent, Path(name)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
        if function is os.unlink or function is os.remove:
            Path(name).unlink()
        else:
            shutil.rmtree(name, ignore_errors=True)


def _claim(home: Path) -> None:
    """Make a directory a farm's home; never one that holds other things."""
    names = {path.name for path in home.iterdir()} if home.is_dir() else set()
    foreign = sorted(name for name in names - _KNOWN if not name.startswith(f".{_MARKER}."))  # another process's marker
    if foreign:
        raise StoreError(
            f"is not a farm's home: it holds {', '.join(foreign[:3])}{' ...' if len(foreign) > 3 else ''}",
            where=str(home),
            fix="set --home or FARM_HOME to an empty directory",
        )
    make_dirs(home)
    write_atomic(home / _MARKER, json.dumps({"format": FORMAT}).encode() + b"\n")


def _check_format(marker: Path) -> None:
    try:
        found = json_text.loads(marker.read_bytes())["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"is damaged: {error}", where=str(marker), fix=f'write {{"format": {FORMAT}}} into it'
        ) from error
    if found != FORMAT:
        raise StoreError(
            f"has format {found}, this farm knows {FORMAT}", where=str(marker), fix="use the farm that made it"
        )
