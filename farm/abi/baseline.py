"""The ABIs that a recipe pins: ``recipes/<name>/abi/<release>/<platform>.abi``, written by `farm abi accept`.

A platform without a file of its own is held to one of the same class: most libraries export the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from farm.abi import parse, text
from farm.errors import CatalogError
from farm.model.abi import Abi

FOLDER = "abi"
_SUFFIX = ".abi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a recipe pins, by release, oldest first, and platform."""

    releases: Mapping[str, Mapping[str, Abi]] = field(default_factory=dict)

    def of(self, release: str, platform: str, abi_class: str) -> Abi | None:
        """The pinned ABI of a release for a platform: its own, else one of its class, with types if there is such."""
        found = self.releases.get(release, {})
        same = sorted(
            (abi for abi in found.values() if abi.abi_class == abi_class), key=lambda a: (not a.typed, a.platform)
        )
        return found.get(platform) or next(iter(same), None)

    def baseline(self, release: str, platform: str, abi_class: str) -> Abi | None:
        """What a build of a release is held to: the newest pinned release that is not newer."""
        older = [name for name in self.releases if Version(name) <= Version(release)]
        found = (self.of(name, platform, abi_class) for name in reversed(older))
        return next((abi for abi in found if abi is not None), None)

    def measured_on(self, release: str, platform: str) -> Abi | None:
        """The newest pinned release that is not newer and was measured with types on this very platform."""
        older = [name for name in self.releases if Version(name) <= Version(release)]
        found = (self.releases[name].get(platform) for name in reversed(older))
        return next((abi for abi in found if abi is not None and abi.typed), None)

    def before(self, release: str, platform: str, abi_class: str) -> Abi | None:
        """The newest pinned release that is older."""
        older = [name for name in self.releases if Version(name) < Version(release)]
        found = (self.of(name, platform, abi_class) for name in reversed(older))
        return next((abi for abi in found if abi is not None), None)


def load(recipe: Path) -> Accepted:
    """The pinned ABIs below a recipe's directory. Raises CatalogError for one that is damaged or misplaced."""
    releases: dict[str, dict[str, Abi]] = {}
    for file in sorted((recipe / FOLDER).glob(f"*/*{_SUFFIX}")):
        where = f"recipes/{recipe.name}/{file.relative_to(recipe)}"
        try:
            abi = parse.read(file.read_text("utf-8"), where)
            Version(abi.release)
        except (OSError, UnicodeDecodeError, InvalidVersion) as error:
            raise CatalogError([f"{where}: cannot be read: {error}"], fix=parse.FIX) from error
        if path_of(recipe, abi) != file or abi.recipe != recipe.name:
            raise CatalogError([f"{where}: says it is of {abi.recipe} {abi.release} for {abi.platform}"], fix=parse.FIX)
        releases.setdefault(abi.release, {})[abi.platform] = abi
    return Accepted(releases={name: releases[name] for name in sorted(releases, key=Version)})


def path_of(recipe: Path, abi: Abi) -> Path:
    """Where an ABI is pinned."""
    return recipe / FOLDER / abi.release / f"{abi.platform}{_SUFFIX}"


def content(abi: Abi) -> bytes:
    """The file that pins an ABI."""
    return text.write(abi).encode()
