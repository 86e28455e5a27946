"""A made-up catalog shaped like a distribution: a few hubs that hundreds require, most recipes in the middle, depth 15.

The shape is drawn from a fixed seed, so two runs plan the same catalog.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import _synthetic
from farm.catalog.values import Catalog, LoadedRecipe
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain

DEPTH = 15
_HUBS = 24  # zlib, openssl, libxml2...: what hundreds link to directly; large catalogs have more
_NOWHERE = Path("/nowhere")


def requirements(recipes: int, *, depth: int = DEPTH, seed: int = 4) -> list[list[int]]:
    """What each recipe requires directly, by number; each requires only lower numbers.

    Recipes lie in `depth` layers, the first holds the hubs. Each requires one of the layer before it, so that the
    depth is reached, and some hubs and others: few require many, most require few.
    """
    chance = Random(seed)
    layers = list(_layers(recipes, depth))
    hubs = range(min(_HUBS + recipes // 100, len(layers[0])))
    found: list[list[int]] = []
    for above, layer in enumerate(layers):
        for _ in layer:
            if above == 0:
                found.append([])
                continue
            chosen = {chance.choice(layers[above - 1])}
            chosen.update(chance.choices(hubs, _weights(len(hubs)), k=min(int(chance.expovariate(0.5)), 8)))
            below = layer.start
            chosen.update(int(below * chance.random() ** 3) for _ in range(min(int(chance.expovariate(0.5)), 8)))
            wanted = sorted(chosen)
            chance.shuffle(wanted)
            found.append(wanted)
    return found


def _layers(recipes: int, depth: int) -> Iterator[range]:
    """Layers as numbers of recipes: many leaves and low ones, few at the far end."""
    shares = [2.0, *(1.6 - 1.45 * (n / max(depth - 2, 1)) for n in range(depth - 1))]
    done = 0
    for number in range(depth):
        end = recipes if number == depth - 1 else round(recipes * sum(shares[: number + 1]) / sum(shares))
        yield range(done, max(end, done + 1))
        done = max(end, done + 1)


def _weights(count: int) -> list[float]:
    return [1 / (1 + place) ** 0.6 for place in range(count)]


def catalog_values(recipes: int, platforms: int) -> Catalog:
    """The catalog as the loader hands it to the planner, without files."""
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(17, 17 + platforms)]
    toolchains = {tag: Toolchain.model_validate(tomllib.loads(_synthetic.toolchain_text(tag))) for tag in tags}
    loaded = {
        name_of(number): LoadedRecipe(recipe=Recipe.model_validate(recipe_data(number, hosts)), directory=_NOWHERE)
        for number, hosts in enumerate(requirements(recipes))
    }
    return Catalog(root=_NOWHERE, recipes=loaded, toolchains=toolchains, providers={name: name for name in loaded})


def name_of(number: int) -> str:
    """The name of a recipe."""
    return f"lib{number:05d}"


def recipe_data(number: int, hosts: list[int]) -> dict[str, Any]:
    """One recipe as its file would give it."""
    return tomllib.loads(_synthetic.recipe_text(number, [name_of(host) for host in hosts]))
