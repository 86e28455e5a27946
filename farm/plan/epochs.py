"""ABI epochs: which releases of a library stand under one shared name. Pure.

A release has the epoch that it says itself, else that of the recipe's `[abi]` table. The catalog sees to it that no
release has a lower epoch than an older one.
"""

from __future__ import annotations

from itertools import groupby

from farm.errors import CatalogError
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan.requirements import oldest_first


def epoch_of(recipe: Recipe, version: str) -> int:
    """The ABI epoch of a release. Raises CatalogError for a recipe without ABI."""
    if recipe.abi is None:
        raise CatalogError([f"recipes/{recipe.name}/recipe.toml: [abi] epoch: is missing"])
    own = (release.abi_epoch for release in recipe.release if release.version == version)
    return next(own, None) or recipe.abi.epoch


def of_epoch(recipe: Recipe, version: str) -> tuple[Release, ...]:
    """The releases of the ABI epoch of one of them, oldest first: what is built against the first runs with all.

    Raises CatalogError for a recipe without ABI.
    """
    epoch, releases = epoch_of(recipe, version), oldest_first(recipe)
    if len(releases) == 1:
        return releases
    return tuple(release for release in releases if epoch_of(recipe, release.version) == epoch)


def older_in_epoch(recipe: Recipe, version: str) -> tuple[str, ...]:
    """The versions of the releases of its ABI epoch before one of them, oldest first."""
    versions = [release.version for release in of_epoch(recipe, version)]
    return tuple(versions[: versions.index(version)])


def in_order_of_choice(recipe: Recipe) -> tuple[Release, ...]:
    """The releases as a dependent's build takes them: the newest epoch first, in each epoch the oldest release.

    Recipes without ABI have one epoch.
    """
    releases = oldest_first(recipe)
    if recipe.abi is None or len(releases) == 1:
        return releases
    epochs = [tuple(group) for _, group in groupby(releases, key=lambda release: epoch_of(recipe, release.version))]
    return tuple(release for epoch in reversed(epochs) for release in epoch)
