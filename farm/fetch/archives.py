"""Unpack source archives that nobody vouches for.

An archive's hash is checked before it comes here, yet a recipe may name a hostile archive by its true hash. So nothing
leaves the target directory: no absolute path, no ``..``, no link that points outside, no device; and nothing fills the
disk. Time stamps are kept: builds compare them.
"""

from __future__ import annotations

import lzma
import os
import shutil
import signal
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from farm import process
from farm.errors import FarmError, SourceError
from farm.fetch import trees
from farm.fetch.guard import (
    NOT_USABLE,
    Budget,
    Limits,
    check_link,
    copy,
    fresh,
    is_inside,
    place,
    refuse_link_parent,
)
from farm.store.files import is_full, store_error

_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
)
_ZSTD = (".tar.zst", ".tzst")
_MOST_HEADER = 1 << 20  # bytes of a member's long name or extended header, which are read into memory at once
_FETCH_AGAIN = "download it again: remove it from the cache's downloads/ directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where members go. `is_system`: the tree is a root directory, so an absolute link means a place in it."""

    rename: Callable[[str], str | None]
    is_system: bool = False

    def link(self, folder: Path, into: Path, text: str) -> str:
        """The text of a symbolic link that is put into `folder`."""
        if not (self.is_system and text.startswith("/")):
            return text
        up = "../" * len(folder.relative_to(into).parts)
        return (up + text.lstrip("/")) or "."


_PLAIN = _Layout(rename=str)


def unpack(archive: Path, into: Path, *, strip: bool = True, limits: Limits | None = None) -> None:
    """Unpack a tar (plain, gz, xz, bz2, zst) or zip file into the directory `into`.

    `strip` removes the single top directory that source archives have; without one, nothing is stripped. Set-user-id
    bits and owners are dropped. Raises SourceError, naming archive and member, for everything hostile or damaged;
    `into` is then to be thrown away.
    """
    budget = Budget(archive=archive.name, limits=limits or Limits())
    staging = Path(tempfile.mkdtemp(prefix=".unpack-", dir=_made(into)))
    try:
        _unpacker(archive)(archive, staging, budget)
        _move_up(staging, into, strip=strip, archive=archive.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def unpack_system(
    archive: Path, into: Path, *, rename: Callable[[str], str | None], limits: Limits | None = None
) -> None:
    """Unpack a tar file of a whole system's tree over what is in the directory `into` already.

    `rename` gives the path at which a member is put, None for one that is left out. Later files replace earlier
    ones, absolute links become relative ones of the same meaning below `into`. Raises SourceError as `unpack` does.
    """
    budget = Budget(archive=archive.name, limits=limits or Limits())
    layout = _Layout(rename=rename, is_system=True)
    _made(into)
    unpack_tar = _unpack_zstd if archive.name.endswith(_ZSTD) else _unpack_tar
    unpack_tar(archive, into, budget, layout)


def _made(into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    return into


def _unpack_tar(archive: Path, into: Path, budget: Budget, layout: _Layout = _PLAIN) -> None:
    last = "(the beginning)"
    folders: list[tuple[Path, float]] = []
    try:
        with tarfile.open(archive, tarinfo=_Member) as tar:
            for member in tar:
                last = member.name
                _unpack_member(tar, member, into, budget, folders, layout)
        for folder, mtime in reversed(folders):
            last = folder.name
            os.utime(folder, (mtime, mtime))
    except FarmError:
        raise
    except _DAMAGED as error:
        raise _refused(error, last, into, budget) from error


def _refused(error: Exception, last: str, into: Path, budget: Budget) -> FarmError:
    """What stopped the unpacking: the archive, or the disk it is unpacked to."""
    if isinstance(error, OSError) and is_full(error):
        return store_error(error, into)
    return SourceError(
        f"damaged archive, at or after member {last}: {error or type(error).__name__}",
        where=budget.archive,
        fix=_FETCH_AGAIN,
    )


class _Member(tarfile.TarInfo):
    """A member whose header says no more than memory can hold."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _IN_MEMORY and member.size > _MOST_HEADER:
            raise ValueError(f"a header of {member.size} bytes")
        return member


_IN_MEMORY = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def _unpack_member(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    into: Path,
    budget: Budget,
    folders: list[tuple[Path, float]],
    layout: _Layout,
) -> None:
    budget.member(member.name)
    place(into, member.name, budget.archive)  # refused even if it is renamed or left out
    name = layout.rename(member.name)
    if name is None or (target := place(into, name, budget.archive)) == into:
        return
    refuse_link_parent(into, target, member.name, budget.archive)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        folders.append((target, member.mtime))
    elif member.issym():
        text = layout.link(target.parent, into, member.linkname)
        check_link(into, target.parent, text, member.name, budget.archive)
        fresh(target)
        target.symlink_to(text)
    elif member.islnk():
        _hardlink(into, target, member, layout.rename(member.linkname), budget)
    elif member.isreg():
        source = tar.extractfile(member)
        assert source is not None
        copy(source, target, member.name, budget, mode=member.mode, mtime=member.mtime)
    else:
        raise SourceError(
            f"{member.name}: is a device, a pipe or another special file", where=budget.archive, fix=NOT_USABLE
        )


def _hardlink(into: Path, target: Path, member: tarfile.TarInfo, name: str | None, budget: Budget) -> None:
    """A hard link becomes a copy of the member it names, which must come before it in the archive. The copy takes room
    as any other content does, though the archive does not hold it."""
    archive = budget.archive
    if name is None or not is_inside(member.linkname):
        raise SourceError(
            f"{member.name}: is a link to {member.linkname!r}, outside the tree", where=archive, fix=NOT_USABLE
        )
    origin = into.joinpath(*PurePosixPath(name).parts)
    refuse_link_parent(into, origin, member.name, archive)
    if origin.is_symlink() or not origin.is_file():
        raise SourceError(
            f"{member.name}: links to {member.linkname}, which is no earlier file", where=archive, fix=NOT_USABLE
        )
    if origin == target:
        return
    budget.bytes(member.name, origin.stat().st_size)
    fresh(target)
    shutil.copy2(origin, target)


def _unpack_zip(archive: Path, into: Path, budget: Budget) -> None:
    last = "(the beginning)"
    try:
        with zipfile.ZipFile(archive) as bundle:
            for member in bundle.infolist():
                last = member.filename
                budget.member(last)
                _unpack_zip_member(bundle, member, into, budget)
    except FarmError:
        raise
    except (*_DAMAGED, NotImplementedError, RuntimeError) as error:
        raise _refused(error, last, into, budget) from error


def _unpack_zip_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, budget: Budget) -> None:
    target = place(into, member.filename, budget.archive)
    mode = member.external_attr >> 16
    if target == into:
        return
    refuse_link_parent(into, target, member.filename, budget.archive)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise SourceError(f"{member.filename}: is a link or a special file", where=budget.archive, fix=NOT_USABLE)
    with bundle.open(member) as source:
        copy(source, target, member.filename, budget, mode=mode or 0o644, mtime=None)


def _move_up(staging: Path, into: Path, *, strip: bool, archive: str) -> None:
    top = list(staging.iterdir())
    if not top:
        raise SourceError("the archive is empty", where=archive, fix=NOT_USABLE)
    one = strip and len(top) == 1 and top[0].is_dir() and not top[0].is_symlink()
    root = top[0] if one else staging
    if one:
        trees.check_link_texts(root, archive)  # a level is gone on which a link's `..` may have counted
    trees.check_links(root, archive)
    for entry in sorted(root.iterdir()):
        target = into / entry.name
        if target.exists() or target.is_symlink():
            raise SourceError(
                f"{entry.name}: is there already, from another source",
                where=archive,
                fix="leave one of the two sources out of the release",
            )
        entry.rename(target)


def _unpack_zstd(archive: Path, into: Path, budget: Budget, layout: _Layout = _PLAIN) -> None:
    """By way of a plain tar: the interpreter has no zstd before 3.14, the program has."""
    with tempfile.TemporaryDirectory(prefix="zstd-") as folder:
        plain = Path(folder) / "plain.tar"
        program = ["zstd", "-d", "-q", "--memory=512MB", "-o", str(plain), str(archive)]
        limit = budget.limits.size + budget.limits.members * 1024  # headers and padding
        done = process.run(["prlimit", f"--fsize={limit}", *program], timeout=600, check=False)
        if done.returncode == -signal.SIGXFSZ:
            raise SourceError(f"unpacks to more than {limit} bytes", where=budget.archive, fix=NOT_USABLE)
        if done.returncode:
            raise SourceError(f"damaged archive: {done.output.strip()}", where=budget.archive, fix=_FETCH_AGAIN)
        _unpack_tar(plain, into, budget, layout)


_UNPACKERS: Mapping[tuple[str, ...], Callable[[Path, Path, Budget], None]] = {
    (".zip", ".whl"): _unpack_zip,
    _ZSTD: _unpack_zstd,
    (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.lzma"): _unpack_tar,
}


def _unpacker(archive: Path) -> Callable[[Path, Path, Budget], None]:
    for endings, unpacker in _UNPACKERS.items():
        if archive.name.lower().endswith(endings):
            return unpacker
    known = ", ".join(ending for endings in _UNPACKERS for ending in endings)
    raise SourceError("not an archive that the farm can unpack", where=archive.name, fix=f"use one of {known}")
