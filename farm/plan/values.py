"""What planning takes in: values that `farm.catalog` provides, described here because plan lies below catalog."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.plan.entry import Entry

T = TypeVar("T")


class RecipeValues(Protocol):
    """A recipe and the content of the files beside it."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def entry(self) -> Entry:
        """What planning reads of the recipe."""
        ...

    def file_digest(self, path: str) -> str:
        """The sha256, in hex, of the file at `path` relative to the recipe's directory."""
        ...

    def pinned_abis(self, releases: Iterable[str]) -> tuple[str, ...]:
        """Files that tell which of some releases brought a symbol, relative to the recipe's directory."""
        ...

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, computed the first time that `what` is asked for and kept with the recipe."""
        ...


class CatalogValues(Protocol):
    """A checked catalog. `providers` maps every recipe name and every provided name to a recipe name."""

    @property
    def recipes(self) -> Mapping[str, RecipeValues]: ...

    @property
    def toolchains(self) -> Mapping[str, Toolchain]: ...

    @property
    def providers(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for.

    `recipes`: names (``gmp``), provided names (``blas``) or one release (``gmp@6.2.1``); none means all. `platforms`:
    tags or globs; none means every toolchain. `pythons`: tags as wheels spell them (``cp311``). `sdk`: digest of the
    Python SDK by ``cp311/<platform>`` or ``cp311``; `without`: why a platform can have none, by ``cp311/<platform>``.
    `newest`: also build the newest release of every library that is linked to, because dependents are tested with it
    and users install it.
    """

    recipes: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    sdk: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    newest: bool = True
