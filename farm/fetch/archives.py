"""Unpack source archives that nobody vouches for.

An archive's hash is checked before it comes here, yet a recipe may name a hostile archive by its true hash. So nothing
leaves the target directory: no absolute path, no ``..``, no link that points outside, no device; and nothing fills the
disk. Time stamps are kept: builds compare them.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from farm import process
from farm.errors import FarmError, SourceError

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.lzma")
_ZSTD = (".tar.zst", ".tzst")
_ZIP = (".zip", ".whl")
_MOST_STEPS = 1000  # of one way through links: a ring of links has no end
_NOT_USABLE = "do not use it: name another archive in the recipe"
_FETCH_AGAIN = "download it again: remove it from the cache's downloads/ directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may hold: bytes after unpacking, and members."""

    size: int = 4_000_000_000
    members: int = 400_000


@dataclass(slots=True)
class _Budget:
    """Counts what is unpacked; refuses before the disk is full."""

    archive: str
    limits: Limits
    size: int = 0
    members: int = 0

    def member(self, name: str) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise SourceError(f"{name}: more than {self.limits.members} members", where=self.archive, fix=_NOT_USABLE)

    def bytes(self, name: str, count: int) -> None:
        self.size += count
        if self.size > self.limits.size:
            raise SourceError(
                f"{name}: unpacks to more than {self.limits.size} bytes", where=self.archive, fix=_NOT_USABLE
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where members go. `is_system`: the tree is a root directory, so an absolute link means a place in it."""

    rename: Callable[[str], str | None]
    is_system: bool = False

    def link(self, folder: Path, into: Path, text: str) -> str:
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
    name = archive.name.lower()
    budget = _Budget(archive=archive.name, limits=limits or Limits())
    staging = Path(tempfile.mkdtemp(prefix=".unpack-", dir=_made(into)))
    try:
        if name.endswith(_ZIP):
            _unpack_zip(archive, staging, budget)
        elif name.endswith(_ZSTD):
            with _decompressed_zstd(archive, budget) as plain:
                _unpack_tar(plain, staging, budget)
        elif name.endswith(_TAR):
            _unpack_tar(archive, staging, budget)
        else:
            raise SourceError("not an archive that the farm can unpack", where=archive.name, fix=f"use one of {_TAR}")
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
    budget = _Budget(archive=archive.name, limits=limits or Limits())
    layout = _Layout(rename=rename, is_system=True)
    _made(into)
    if archive.name.endswith(_ZSTD):
        with _decompressed_zstd(archive, budget) as plain:
            _unpack_tar(plain, into, budget, layout)
    else:
        _unpack_tar(archive, into, budget, layout)


def check_links(root: Path, archive: str) -> None:
    """Refuse a tree with a symbolic link that leads out of it by way of other links. Raises SourceError."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink() and not _leads_inside(root, path):
                raise SourceError(
                    f"{path.relative_to(root)}: is a link that leads outside the tree", where=archive, fix=_NOT_USABLE
                )


def _leads_inside(root: Path, link: Path) -> bool:
    """Walk the way as the kernel would, one part at a time; a way that ends nowhere is inside."""
    place, ahead = link.parent, [str(link.name)]
    for _ in range(_MOST_STEPS):
        if not ahead:
            return True
        part = ahead.pop(0)
        if part == "..":
            if place == root:
                return False
            place = place.parent
            continue
        place = place / part
        if place.is_symlink():
            text = place.readlink()
            if text.is_absolute():
                return False
            place, ahead = place.parent, [*text.parts, *ahead]
    return False


def newest_time(tree: Path) -> int:
    """The newest modification time of a regular file in a tree, in seconds; 0 for an empty tree."""
    newest = 0
    for folder, _, files in os.walk(tree):
        for file in files:
            entry = (Path(folder) / file).lstat()
            if stat.S_ISREG(entry.st_mode):
                newest = max(newest, int(entry.st_mtime))
    return newest


def _made(into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    return into


def _unpack_tar(archive: Path, into: Path, budget: _Budget, layout: _Layout = _PLAIN) -> None:
    last = "(the beginning)"
    folders: list[tuple[Path, float]] = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                last = member.name
                _unpack_member(tar, member, into, budget, folders, layout)
    except FarmError:
        raise
    except _DAMAGED as error:
        raise SourceError(
            f"damaged archive, at or after member {last}: {error or type(error).__name__}",
            where=budget.archive,
            fix=_FETCH_AGAIN,
        ) from error
    for folder, mtime in reversed(folders):
        os.utime(folder, (mtime, mtime))


def _unpack_member(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    into: Path,
    budget: _Budget,
    folders: list[tuple[Path, float]],
    layout: _Layout,
) -> None:
    budget.member(member.name)
    _place(into, member.name, budget.archive)  # refused even if it is renamed or left out
    name = layout.rename(member.name)
    if name is None or (target := _place(into, name, budget.archive)) == into:
        return
    _refuse_link_parent(into, target, member.name, budget.archive)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        folders.append((target, member.mtime))
    elif member.issym():
        text = layout.link(target.parent, into, member.linkname)
        _check_link(into, target.parent, text, member.name, budget.archive)
        _fresh(target)
        target.symlink_to(text)
    elif member.islnk():
        _hardlink(into, target, member, layout.rename(member.linkname), budget.archive)
    elif member.isreg():
        source = tar.extractfile(member)
        assert source is not None
        _copy(source, target, member.name, budget, mode=member.mode, mtime=member.mtime)
    else:
        raise SourceError(
            f"{member.name}: is a device, a pipe or another special file", where=budget.archive, fix=_NOT_USABLE
        )


def _hardlink(into: Path, target: Path, member: tarfile.TarInfo, name: str | None, archive: str) -> None:
    """A hard link becomes a copy of the member it names, which must come before it in the archive."""
    if name is None or not _is_inside(member.linkname):
        raise SourceError(
            f"{member.name}: is a link to {member.linkname!r}, outside the tree", where=archive, fix=_NOT_USABLE
        )
    origin = into.joinpath(*PurePosixPath(name).parts)
    _refuse_link_parent(into, origin, member.name, archive)
    if origin.is_symlink() or not origin.is_file():
        raise SourceError(
            f"{member.name}: links to {member.linkname}, which is no earlier file", where=archive, fix=_NOT_USABLE
        )
    if origin == target:
        return
    _fresh(target)
    shutil.copy2(origin, target)


def _unpack_zip(archive: Path, into: Path, budget: _Budget) -> None:
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
        raise SourceError(
            f"damaged archive, at or after member {last}: {error or type(error).__name__}",
            where=budget.archive,
            fix=_FETCH_AGAIN,
        ) from error


def _unpack_zip_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, budget: _Budget) -> None:
    target = _place(into, member.filename, budget.archive)
    mode = member.external_attr >> 16
    if target == into:
        return
    _refuse_link_parent(into, target, member.filename, budget.archive)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise SourceError(f"{member.filename}: is a link or a special file", where=budget.archive, fix=_NOT_USABLE)
    with bundle.open(member) as source:
        _copy(source, target, member.filename, budget, mode=mode or 0o644, mtime=None)


def _place(into: Path, name: str, archive: str) -> Path:
    """Where a member goes; refuses every name that could lead elsewhere."""
    if not _is_inside(name):
        raise SourceError(f"{name!r}: leaves the directory it is unpacked into", where=archive, fix=_NOT_USABLE)
    return into.joinpath(*PurePosixPath(name).parts)


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not (name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or name[1:2] == ":")


def _refuse_link_parent(into: Path, target: Path, name: str, archive: str) -> None:
    """Nothing is written *through* a symbolic link, even one that stays inside."""
    place = target.parent
    while place != into:
        if place.is_symlink():
            raise SourceError(f"{name!r}: its directory is a symbolic link", where=archive, fix=_NOT_USABLE)
        place = place.parent


def _check_link(into: Path, folder: Path, linkname: str, name: str, archive: str) -> None:
    """Refuse a symbolic link whose text leaves the tree at any point of the way."""
    depth = len(folder.relative_to(into).parts)
    leaves = not linkname or linkname.startswith("/") or "\0" in linkname
    for part in PurePosixPath(linkname).parts:
        depth += -1 if part == ".." else 1
        leaves = leaves or depth < 0
    if leaves:
        raise SourceError(f"{name}: is a link to {linkname!r}, outside the tree", where=archive, fix=_NOT_USABLE)


def _fresh(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()


def _copy(source: IO[bytes], target: Path, name: str, budget: _Budget, *, mode: int, mtime: float | None) -> None:
    _fresh(target)
    with target.open("xb") as out:
        while block := source.read(1 << 20):
            budget.bytes(name, len(block))
            out.write(block)
    target.chmod((mode & 0o755) | 0o600)
    if mtime is not None:
        os.utime(target, (mtime, mtime))


def _move_up(staging: Path, into: Path, *, strip: bool, archive: str) -> None:
    top = list(staging.iterdir())
    if not top:
        raise SourceError("the archive is empty", where=archive, fix=_NOT_USABLE)
    one = strip and len(top) == 1 and top[0].is_dir() and not top[0].is_symlink()
    root = top[0] if one else staging
    if one:
        _check_links_after_strip(root, archive)
    for entry in sorted(root.iterdir()):
        target = into / entry.name
        if target.exists() or target.is_symlink():
            raise SourceError(
                f"{entry.name}: is there already, from another source",
                where=archive,
                fix="leave one of the two sources out of the release",
            )
        entry.rename(target)


def _check_links_after_strip(root: Path, archive: str) -> None:
    """Stripping the top directory takes one level away that a link's ``..`` may have counted on."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink():
                _check_link(root, path.parent, str(path.readlink()), str(path.relative_to(root)), archive)


@contextmanager
def _decompressed_zstd(archive: Path, budget: _Budget) -> Iterator[Path]:
    """A plain tar beside the archive's cache; the interpreter has no zstd before 3.14, the program has."""
    with tempfile.TemporaryDirectory(prefix="zstd-") as folder:
        plain = Path(folder) / "plain.tar"
        done = process.run(
            ["zstd", "-d", "-q", "--memory=512MB", "-o", str(plain), str(archive)], timeout=600, check=False
        )
        if done.returncode:
            raise SourceError(f"damaged archive: {done.output.strip()}", where=budget.archive, fix=_FETCH_AGAIN)
        yield plain
