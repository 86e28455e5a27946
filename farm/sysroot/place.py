"""Unpack a sysroot's packages side by side into the user's cache: whole or not at all, once for all farms.

`sysroots/<name>-<digest>/` is the root directory of the other system; its ``.sysroot.json`` says which packages are
in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from farm.errors import ProcessError, SourceError, UnreachableError
from farm.fetch import deb, trees
from farm.fetch.obtain import obtain
from farm.model import json_text
from farm.model.sysroot import Package, Sysroot
from farm.process import Cancel
from farm.settings import Settings
from farm.store.keeping import keep

LAYOUT = 1
"""Raised when a sysroot is laid out in another way, so that old ones in caches are not taken."""

MANIFEST = ".sysroot.json"
_MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # directories that Debian keeps below usr/


def materialise(sysroot: Sysroot, settings: Settings, *, cancel: Cancel | None = None) -> Path:
    """The sysroot's directory; quick when it is in the cache. Nothing may write into it.

    Raises UnreachableError if a package cannot be had, with the command that renews the pins; SourceError for a wrong
    hash or a hostile package; ProcessError if cancelled.
    """
    root = place(sysroot, settings)

    def make() -> None:
        shutil.rmtree(root, ignore_errors=True)  # caches get cleaned by people and by programs
        _make(sysroot, root, settings, cancel)

    keep(root, lambda: _is_whole(root), make)
    return root


def place(sysroot: Sysroot, settings: Settings) -> Path:
    """Where the sysroot is, or would be."""
    return settings.cache / "sysroots" / f"{sysroot.name}-{digest(sysroot)[:16]}"


def present(sysroot: Sysroot, settings: Settings) -> bool:
    """Whether it is in the cache already."""
    return _is_whole(place(sysroot, settings))


def digest(sysroot: Sysroot) -> str:
    """The sha256 of what the sysroot is made from: its packages and what is left out, not how it is used."""
    made_from = {
        "layout": LAYOUT,
        "drop": sysroot.drop,
        "links": sysroot.links,
        "packages": [[package.name, [at.sha256 for at in package.location]] for package in sysroot.package],
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def chosen(root: Path) -> dict[str, str]:
    """File name of each package in a sysroot's directory -> its sha256: what it is made of, whichever answered."""
    try:
        packages: dict[str, str] = json_text.loads((root / MANIFEST).read_text("utf-8"))["packages"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"the sysroot is damaged: {error}", where=str(root), fix=f"rm -r {root}") from error
    return packages


def _is_whole(root: Path) -> bool:
    return (root / MANIFEST).is_file()


def _make(sysroot: Sysroot, root: Path, settings: Settings, cancel: Cancel | None) -> None:
    files = []
    for package in sysroot.package:
        if cancel is not None and cancel.is_set:
            raise ProcessError("cancelled", where=f"sysroot {sysroot.name}")
        files.append(_package(sysroot, package, settings))
    scratch = Path(tempfile.mkdtemp(prefix=".sysroot-", dir=root.parent))
    try:
        tree = scratch / "root"
        tree.mkdir()
        for file in files:
            deb.unpack(file, tree, rename=_place_of(sysroot.drop))
        _merge_usr(tree)
        _link(tree, sysroot.links)
        trees.check_links(tree, f"sysroot {sysroot.name}")
        inside = {file.name: file.parent.name for file in files}
        text = json.dumps({"name": sysroot.name, "packages": inside}, indent=1) + "\n"
        (tree / MANIFEST).write_text(text, "utf-8")
        tree.rename(root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _package(sysroot: Sysroot, package: Package, settings: Settings) -> Path:
    what = f"the package {package.name} of the sysroot {sysroot.name}"
    if not package.location:
        raise SourceError(f"{what} is not pinned", fix=f"farm toolchain sysroot {sysroot.name} --update")
    try:
        return obtain(package.location, settings.toolchains / "sysroots", settings.downloads, what=what)
    except UnreachableError as error:
        fix = f"check the network; a mirror that moved on: farm toolchain sysroot {sysroot.name} --update"
        raise UnreachableError(error.what, where=error.where, fix=fix) from error


def _place_of(drop: tuple[str, ...]) -> Callable[[str], str | None]:
    """Where a member of a package goes: below usr/ as on a system whose usr is merged, or nowhere."""

    def rename(name: str) -> str | None:
        path = os.path.normpath(name).lstrip("/")
        if path in _MERGED:  # the directory itself, or a package's own link to usr/
            return None
        if path.split("/", 1)[0] in _MERGED:
            path = f"usr/{path}"
        return None if any(fnmatchcase(path, glob) for glob in drop) else path

    return rename


def _merge_usr(tree: Path) -> None:
    for name in _MERGED:
        if (tree / "usr" / name).is_dir():
            (tree / name).symlink_to(f"usr/{name}")


def _link(tree: Path, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(tree / target, place.parent))
