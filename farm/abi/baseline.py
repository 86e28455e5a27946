"""The ABIs that a recipe pins: ``recipes/<name>/abi/<release>/<platform>.abi``, written by `farm abi accept`.

A platform without a file of its own is held to one of the same class, the one that is most like it: most libraries
export the same everywhere.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from farm.abi import parse, surface, text
from farm.abi.compare import compare
from farm.errors import CatalogError
from farm.model import pypa
from farm.model.abi import Abi, Verdict

FOLDER = "abi"
_SUFFIX = ".abi"
_LARGEST = 20_000_000  # bytes; FLINT's 14,000 functions take 2 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a recipe pins, by release, oldest first, and platform."""

    releases: dict[str, Mapping[str, Abi]] = field(default_factory=dict)

    def all_of(self, release: str, found: Abi) -> tuple[Abi, ...]:
        """What is pinned of a release for the platform of `found`, else all that is for its class."""
        pinned = self.releases.get(release, {})
        if found.platform in pinned:
            return (pinned[found.platform],)
        return tuple(abi for abi in pinned.values() if abi.abi_class == found.abi_class)

    def held_to(self, found: Abi) -> Abi | None:
        """What a build is held to: the newest pinned release that is not newer, of its own platform if that has any."""
        return self._first(self._releases(operator.le, found.release), found)

    def before(self, found: Abi) -> Abi | None:
        """The newest pinned release that is older."""
        return self._first(self._releases(operator.lt, found.release), found)

    def after(self, found: Abi) -> Abi | None:
        """The oldest pinned release that is newer."""
        return self._first(self._releases(operator.gt, found.release)[::-1], found)

    def closest(self, release: str, found: Abi) -> Abi | None:
        """The pinned ABI of a release for the platform of `found`: its own, else of those of its class the one that
        `found` breaks least. What processors export differs more than what systems do: FLINT's for musl on x86-64 are
        those of glibc on x86-64, not those of glibc on AArch64."""
        pinned = self.all_of(release, found)
        return pinned[0] if len(pinned) == 1 else min(pinned, key=lambda abi: _distance(abi, found), default=None)

    def measured_on(self, release: str, platform: str) -> Abi | None:
        """The newest pinned release that is not newer and was measured with types on this very platform."""
        found = (self.releases[name].get(platform) for name in self._releases(operator.le, release))
        return next((abi for abi in found if abi is not None and abi.typed), None)

    def _releases(self, is_: Callable[[Version, Version], bool], release: str) -> list[str]:
        """The pinned releases that stand so to a release, newest first."""
        return [name for name in reversed(self.releases) if is_(pypa.version(name), pypa.version(release))]

    def _first(self, releases: Sequence[str], found: Abi) -> Abi | None:
        """The first of some releases that is pinned for the platform of `found`, else for its class."""
        own = (self.releases[name].get(found.platform) for name in releases)
        shared = (self.closest(name, found) for name in releases)
        return next((abi for abi in itertools.chain(own, shared) if abi is not None), None)


def _distance(pinned: Abi, found: Abi) -> tuple[int, int, bool, str]:
    changes = compare(pinned, found).changes
    breaking = sum(change.verdict is Verdict.BREAKING for change in changes)
    return breaking, len(changes), not pinned.typed, pinned.platform


def load(recipe: Path, internal: Sequence[str] = ()) -> Accepted:
    """The pinned ABIs below a recipe's directory, without names that the recipe calls `internal` (globs) by now. Raises
    CatalogError for one that is damaged or misplaced."""
    releases: dict[str, dict[str, Abi]] = {}
    for file in _files(recipe):
        where = f"recipes/{recipe.name}/{file.relative_to(recipe)}"
        try:
            _check_place(file, recipe)
            abi = parse.read(file.read_text("utf-8"), where)
            pypa.version(abi.release)
        except (OSError, UnicodeDecodeError, InvalidVersion) as error:
            raise CatalogError([f"{where}: cannot be read: {error}"], fix=parse.FIX) from error
        if path_of(recipe, abi) != file or abi.recipe != recipe.name:
            raise CatalogError([f"{where}: says it is of {abi.recipe} {abi.release} for {abi.platform}"], fix=parse.FIX)
        libraries = {name: surface.without(library, internal) for name, library in abi.libraries.items()}
        releases.setdefault(abi.release, {})[abi.platform] = replace(abi, libraries=libraries)
    return Accepted(releases={name: releases[name] for name in sorted(releases, key=Version)})


def _files(recipe: Path) -> list[Path]:
    folder = recipe / FOLDER
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise CatalogError([f"recipes/{recipe.name}/{FOLDER}: is no directory"], fix=parse.FIX)
        return []
    return sorted(file for file in folder.rglob("*") if _is_meant(file))


def _is_meant(file: Path) -> bool:
    """Whether something stands for a pin. What begins with a dot does not: a kill may leave one half-written."""
    if file.name.startswith("."):
        return False
    return not file.is_dir() or file.is_symlink() or file.suffix == _SUFFIX


def _check_place(file: Path, recipe: Path) -> None:
    """Raises OSError for what is no plain file at the place of a pinned ABI below the recipe's own directory."""
    if not file.is_file() or file.is_symlink() or file.stat().st_size > _LARGEST:
        raise OSError(f"it is no plain file of at most {_LARGEST // 10**6} MB")
    if not file.resolve().is_relative_to(recipe.resolve()):
        raise OSError("it leads out of the recipe's directory")


def path_of(recipe: Path, abi: Abi) -> Path:
    """Where an ABI is pinned."""
    return recipe / FOLDER / abi.release / f"{abi.platform}{_SUFFIX}"


def content(abi: Abi) -> bytes:
    """The file that pins an ABI."""
    return text.write(abi).encode()
