"""A checked catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from farm.errors import CatalogError
from farm.model.python import Python
from farm.model.recipe import Recipe
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.plan.entry import Entry, entry_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRecipe:
    """A recipe and where it lies. Files beside it are hashed when asked for, once."""

    recipe: Recipe
    directory: Path
    entry: Entry = field(init=False, repr=False, compare=False)
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entry", entry_of(self.recipe))

    @property
    def path(self) -> Path:
        """The recipe file."""
        return self.directory / "recipe.toml"

    @property
    def internal(self) -> tuple[str, ...]:
        """Globs of exported names that are no part of its ABI."""
        return self.recipe.internal

    def patch(self, name: str) -> Path:
        """The file of a patch that a release or a `[[when]]` row names."""
        return self.directory / "patches" / name

    def file_digest(self, path: str) -> str:
        """The sha256, in hex, of the file at `path` below the recipe's directory. Raises CatalogError."""
        if path not in self._digests:
            try:
                with (self.directory / path).open("rb") as stream:
                    self._digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise CatalogError([f"recipes/{self.recipe.name}/{path}: cannot be read: {error.strerror}"]) from error
        return self._digests[path]

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, computed the first time that `what` is asked for: a large catalog is planned again and
        again, and its recipes do not change."""
        found: T | None = self._made.get(what)
        if found is None:
            found = self._made[what] = make()
        return found

    def pinned_abis(self, releases: Iterable[str]) -> tuple[str, ...]:
        """The files that pin the ABIs of some releases, relative to the recipe's directory, sorted. They tell which
        release brought a symbol, and the native wheels of later ones say it."""
        files = [file for name in releases for file in (self.directory / "abi" / name).glob("*.abi")]
        return tuple(sorted(file.relative_to(self.directory).as_posix() for file in files))

    def input_paths(self) -> Iterator[Path]:
        """Every file and directory below the recipe's whose change may change a plan."""
        yield self.path
        yield from (self.directory / name for name in dict.fromkeys(self.named_files()))
        releases = [release.version for release in self.recipe.release]
        if releases[1:]:  # pinned ABIs are inputs of later releases only
            yield from (self.directory / "abi" / name for name in releases)
            yield from (self.directory / name for name in self.pinned_abis(releases))

    def named_files(self) -> Iterator[str]:
        """The files that the recipe names, relative to its directory: patches, requirements, smoke test."""
        for release in self.recipe.history:
            yield from (f"patches/{name}" for name in release.patches)
        for row in self.recipe.when:
            yield from (f"patches/{name}" for name in row.patches)
        if self.recipe.requires.python:
            yield self.recipe.requires.python
        if self.recipe.tests.smoke:
            yield self.recipe.tests.smoke


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All recipes, toolchains, sysroots and Pythons, by name, platform tag and Python tag.

    `providers` maps every recipe name and every name that a recipe provides to the recipe's name. `root` is the
    directory that holds ``recipes/`` and ``toolchains/``.
    """

    root: Path
    recipes: Mapping[str, LoadedRecipe]
    toolchains: Mapping[str, Toolchain]
    providers: Mapping[str, str]
    sysroots: Mapping[str, Sysroot] = field(default_factory=dict)
    pythons: Mapping[str, Python] = field(default_factory=dict)

    def input_paths(self) -> Iterator[Path]:
        """Every file and directory whose change may change a plan (for `farm.plan.snapshot`).

        A recipe's own directory is not among them: a file in it counts only if the recipe names it.
        """
        yield self.root / "recipes"
        yield self.root / "toolchains"
        for platform in self.toolchains:
            yield self.root / "toolchains" / f"{platform}.toml"
        for folder, names in (("pythons", self.pythons), ("sysroots", self.sysroots)):
            if names:
                yield self.root / "toolchains" / folder
            yield from (self.root / "toolchains" / folder / f"{name}.toml" for name in names)
        for loaded in self.recipes.values():
            yield from loaded.input_paths()
