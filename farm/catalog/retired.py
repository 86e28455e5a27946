"""A catalog in which retired releases count as they did when they were offered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from farm.catalog.values import Catalog
from farm.model.recipe_source import Release


def revived(catalog: Catalog, recipes: Iterable[str]) -> Catalog:
    """The catalog with the retired releases of some recipes among their others. What is built in it has other keys: a
    later release says which of its symbols an older one of its ABI epoch had, and others are built against that one."""
    names = [name for name in dict.fromkeys(recipes) if name in catalog.recipes]
    return with_releases(catalog, {name: catalog.recipes[name].recipe.history for name in names})


def for_release(catalog: Catalog, text: str) -> Catalog:
    """The catalog in which ``gmp@6.2.1`` can be built: with gmp's retired releases if that is one of them, else as it
    is."""
    name, _, version = text.partition("@")
    loaded = catalog.recipes.get(catalog.providers.get(name, ""))
    if loaded is None or version not in {release.version for release in loaded.recipe.retired}:
        return catalog
    return revived(catalog, [loaded.recipe.name])


def with_releases(catalog: Catalog, releases: Mapping[str, tuple[Release, ...]]) -> Catalog:
    """The catalog with other releases in some of its recipes, by name, and none that are retired in these."""
    changed = {
        name: replace(
            catalog.recipes[name],
            recipe=catalog.recipes[name].recipe.model_copy(update={"release": found, "retired": ()}),
        )
        for name, found in releases.items()
    }
    return replace(catalog, recipes={**catalog.recipes, **changed})
