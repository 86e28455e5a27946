"""What planning reads of every recipe, put together when the recipe is loaded. Pure.

A plan of a large catalog passes through all recipes in an order that the processor's caches know nothing of: looking
for the few fields that matter in 25,000 models takes longer than planning with them. And what neither platforms nor
files decide about a key is the recipe's own: it is hashed once, while the recipe is at hand.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan import compose, keys
from farm.plan.effective import merged
from farm.plan.epochs import epoch_of


class Part(NamedTuple):
    """What a recipe gives to the keys of one release: `heads`, what they begin with, by lane, or one that all lanes
    share; what its wheel says of its ABI."""

    heads: tuple[bytes, ...]
    abi: keys.ReleaseAbi | None


class Entry(NamedTuple):
    """A recipe as planning passes through it.

    `hosts` are the entries of `requires.host`, `releases` those of the recipe, both as written. `plain` is the part of
    the only release of a recipe for which platforms and files make no difference; of others None.
    """

    name: str
    library: bool
    hosts: tuple[str, ...]
    releases: tuple[Release, ...]
    plain: Part | None


def entry_of(recipe: Recipe) -> Entry:
    """The entry of a recipe, which need not be checked yet."""
    return Entry(
        name=sys.intern(recipe.name),
        library=recipe.kind == "library",
        hosts=tuple([sys.intern(text) for text in recipe.requires.host]),  # found by identity: see `farm.plan.graph`
        releases=recipe.release,
        plain=_plain(recipe),
    )


def _plain(recipe: Recipe) -> Part | None:
    release = recipe.release[0]
    if recipe.when or recipe.variant or recipe.requires.python or release.patches or len(recipe.release) > 1:
        return None
    abi = None
    if recipe.abi is not None:
        epoch = epoch_of(recipe, release.version)
        abi = keys.ReleaseAbi(epoch=epoch, baseline=release.version, pinned=())
    try:
        digest = keys.recipe_digest(recipe, release, merged(recipe, release, ""), _no_file, abi=abi)
    except ValueError:
        return None  # a requirement that cannot be read: a fault of the recipe, which the catalog reports with others
    return Part((compose.head(digest),), abi)


def _no_file(path: str) -> str:
    raise AssertionError(f"{path} is an input")
