"""From the sources of a release to a patched source tree."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farm import process
from farm.errors import SourceError
from farm.fetch import archives, trees
from farm.fetch.download import HOSTS, Hosts, Progress
from farm.fetch.obtain import obtain
from farm.model.recipe_source import Release, Source
from farm.store.files import file_lock, mark_used, temporary_name
from farm.store.home import remove_tree

_PROGRAM_START = 315_532_800  # 1980-01-01: the first day a zip file can name
_PATCH_TAIL = 25
_LAYOUT = 1  # raised when archives are unpacked in another way, so that trees unpacked before are not taken
_TREE = "tree"
_PROGRAMS = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A source tree, unpacked and patched. `epoch_seconds` is the newest time stamp in the archives (>= 1980)."""

    tree: Path
    epoch_seconds: int


def fetch(
    source: Source, recipe_dir: Path, downloads: Path, *, progress: Progress | None = None, hosts: Hosts = HOSTS
) -> Path:
    """The source's archive in the cache, from the first location that answers. Raises as `obtain` does."""
    return obtain(source.location, recipe_dir, downloads, progress=progress, hosts=hosts)


def prepare(
    release: Release,
    patches: Sequence[str],
    recipe_dir: Path,
    downloads: Path,
    kept: Path,
    tree: Path,
    *,
    progress: Progress | None = None,
) -> Prepared:
    """Fetch, unpack and patch a release into `tree`, which must be empty or missing.

    Archives are unpacked once, below `kept`, and copied from there for each build. Afterwards every file has the same
    time stamp: make must not think that a patched input is newer than a generated file beside it and call autoconf; a
    recipe that wants that says so in `prepare`. Raises SourceError.
    """
    files = [(fetch(source, recipe_dir, downloads, progress=progress), source) for source in release.source]
    _copy_unpacked(files, kept / f"{recipe_dir.name}-{release.version}-{_digest(files)}", tree)
    newest = trees.newest_time(tree)
    for name in patches:
        apply_patch(tree, recipe_dir / "patches" / name)
    epoch = max(newest, _PROGRAM_START)
    level_times(tree, epoch)
    return Prepared(tree=tree, epoch_seconds=epoch)


def _digest(files: Sequence[tuple[Path, Source]]) -> str:
    """What an unpacked tree depends on; downloads lie in directories named by their sha256."""
    lines = [
        f"{file.parent.name} {source.into} {source.file_name if not source.unpack else ''}" for file, source in files
    ]
    return hashlib.sha256("\n".join((str(_LAYOUT), *lines)).encode()).hexdigest()[:16]


def _copy_unpacked(files: Sequence[tuple[Path, Source]], place: Path, tree: Path) -> None:
    """Copy the tree kept at `place` to `tree`; unpack it there first if nobody has. The time stamp of `place` says when
    it was last of use (for `farm gc`)."""
    lock = place.with_name(place.name + ".lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with file_lock(lock, shared=True):
            if place.is_dir():
                mark_used(place)
                tree.parent.mkdir(parents=True, exist_ok=True)
                # A copy shares its blocks with the original where the file system can do that.
                process.run(["cp", "-aT", "--reflink=auto", place / _TREE, tree], env=_PROGRAMS, timeout=1200)
                return
        with file_lock(lock):
            if not place.is_dir():
                _unpack(files, place)


def _unpack(files: Sequence[tuple[Path, Source]], place: Path) -> None:
    """Unpack archives side by side; the directory `place` appears whole or not at all."""
    scratch = place.with_name(temporary_name(".unpacking"))
    try:
        (scratch / _TREE).mkdir(parents=True)
        for file, source in files:
            _put(file, scratch / _TREE / source.into, source)
        scratch.rename(place)
    finally:
        remove_tree(scratch)


def _put(file: Path, folder: Path, source: Source) -> None:
    if source.unpack:
        archives.unpack(file, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / source.file_name
    shutil.copyfile(file, copy)
    os.utime(copy, (_PROGRAM_START, _PROGRAM_START))  # when it was fetched says nothing about the release


def apply_patch(tree: Path, patch: Path) -> None:
    """Apply one patch with ``-p1``: whole or not at all.

    Fuzz is refused: a patch that almost fits may land in the wrong function. Raises SourceError with what `patch`
    says.
    """
    if not patch.is_file():
        raise SourceError("this patch does not exist", where=str(patch), fix="put it there or drop it from the recipe")
    for extra in (["--dry-run"], []):
        done = _patch(tree, patch, *extra)
        if done.returncode:
            tail = "\n".join(f"  | {line}" for line in done.output.strip().splitlines()[-_PATCH_TAIL:])
            raise SourceError(
                f"the patch {patch.name} does not apply:\n{tail}",
                where=str(patch),
                fix="make it again against this release's source (`farm shell` opens the tree)",
            )


def has_patch(tree: Path, patch: Path) -> bool:
    """Whether a tree has what a patch would bring, all of it. Changes nothing."""
    return patch.is_file() and _patch(tree, patch, "--dry-run", "--reverse").returncode == 0


def _patch(tree: Path, patch: Path, *options: str) -> process.Completed:
    """--force asks nothing and, unlike --batch, never takes back a patch that the release has already."""
    base = ["patch", "-p1", "--force", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", f"--input={patch}"]
    env = {**_PROGRAMS, "TMPDIR": str(tree.parent)}
    return process.run([*base, *options], cwd=tree, env=env, check=False, timeout=120)


def level_times(tree: Path, seconds: int) -> None:
    """Give every file and directory of a tree one time stamp."""
    for folder, _, files in os.walk(tree):
        for file in files:
            os.utime(Path(folder) / file, (seconds, seconds), follow_symlinks=False)
        os.utime(folder, (seconds, seconds))
