"""Planning 25,000 recipes x 12 platforms: all of it with keys, and one changed recipe in a planner that is kept warm.

The catalog is made up in memory and shaped like a distribution; reading recipe files is no part of it, nor is what
loading adds to each recipe for the planner, which has a figure of its own: hashing its fields. Figures are
processor seconds of one thread; the peer is sha256 of as many texts of a key's size, in the same process.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import hashlib
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks import _shape
from farm.catalog.values import Catalog, LoadedRecipe
from farm.cli.output import print_json, print_table
from farm.model.recipe import Recipe
from farm.plan import planner
from farm.plan.entry import entry_of
from farm.plan.values import Wanted
from farm.plan.warm import WarmPlanner

PLAN_LIMIT, CHANGE_LIMIT = 1.0, 0.010  # seconds
_KEY_BYTES = 400  # what a key of these recipes hashes, on average


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=int, default=25_000)
    parser.add_argument("--platforms", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.recipes, args.platforms, args.rounds, args.changes)
    if args.json:
        print_json(result)
        return 0
    rows = [(name, f"{seconds * 1000:,.1f} ms") for name, seconds in result["cpu_seconds"].items()]
    print_table((f"{result['steps']:,} steps", "CPU"), rows)
    print(f"memory of the plan: {result['megabytes']:.0f} MB; plan / bare sha256 = {result['ratio']:.1f}")
    print(f"goals: plan at most {PLAN_LIMIT} s, a change at most {CHANGE_LIMIT * 1000:.0f} ms")
    return 0 if result["meets"] else 1


def measure(recipes: int, platforms: int, rounds: int, changes: int) -> dict[str, Any]:
    catalog = _shape.catalog_values(recipes, platforms)
    models = [loaded.recipe for loaded in catalog.recipes.values()]
    gc.collect()
    gc.freeze()  # the catalog is not what is measured
    first = _seconds(lambda: planner.plan(catalog, Wanted()))
    again = [_seconds(lambda: planner.plan(catalog, Wanted())) for _ in range(rounds)]
    megabytes = _megabytes(lambda: planner.plan(catalog, Wanted()))
    texts = [str(number).encode() * (_KEY_BYTES // len(str(number))) for number in range(recipes * platforms)]
    bare = [_seconds(lambda: [hashlib.sha256(text).hexdigest() for text in texts]) for _ in range(rounds)]
    seconds = {
        "plan, recipes just loaded": first,
        "plan again, median": median(again),
        "the same, best round": min(again),
        "when loading: the entries of all recipes": _seconds(lambda: [entry_of(each) for each in models]),
        "bare sha256, as many keys, median": median(bare),
        **_changes(catalog, changes),
    }
    return {
        "steps": recipes * platforms,
        "cpu_seconds": seconds,
        "megabytes": megabytes,
        "ratio": median(again) / median(bare),
        "meets": median(again) <= PLAN_LIMIT and seconds["a recipe's build changes, median"] <= CHANGE_LIMIT,
    }


def _changes(catalog: Catalog, count: int) -> dict[str, float]:
    """Seconds of one-recipe changes: anyone's, and the hub's that nearly everything needs."""
    warm = WarmPlanner(catalog, Wanted())
    chance = Random(7)
    edits, releases = [], []
    for number in chance.sample(range(len(catalog.recipes)), min(count, len(catalog.recipes))):
        edits.append(_change(warm, catalog, number, {"summary": "changed"}))
        _change(warm, catalog, number, {})
        releases.append(_change(warm, catalog, number, _with_new_release(catalog, number)))
        _change(warm, catalog, number, {})
    hub_release = _change(warm, catalog, 0, _with_new_release(catalog, 0))
    _change(warm, catalog, 0, {})
    hub = _change(warm, catalog, 0, {"summary": "changed"})
    keys = _seconds(lambda: [warm.plan.by_id()[f"{name}@{version}/{tag}"].key for name, version, tag in _last(catalog)])
    return {
        "a recipe's build changes, median": median(edits),
        "a recipe's build changes, slowest": max(edits),
        "a recipe gets a release, median": median(releases),
        "a recipe gets a release, slowest": max(releases),
        "the largest hub gets a release": hub_release,
        "the largest hub's build changes": hub,
        "one key behind it, when asked for": keys,
        "all keys behind it, when asked for": _seconds(warm.compute_keys),
    }


def _change(warm: WarmPlanner, catalog: Catalog, number: int, fields: dict[str, Any]) -> float:
    """Seconds that a planner takes to plan the catalog with one recipe changed; the new recipe is made before."""
    name = _shape.name_of(number)
    recipe = catalog.recipes[name].recipe
    data = {**recipe.model_dump(exclude_unset=True), **fields}
    loaded = LoadedRecipe(recipe=Recipe.model_validate(data), directory=Path("/nowhere"))
    changed = dataclasses.replace(catalog, recipes={**catalog.recipes, name: loaded})
    return _seconds(lambda: warm.change(changed, name))


def _with_new_release(catalog: Catalog, number: int) -> dict[str, Any]:
    (release,) = catalog.recipes[_shape.name_of(number)].recipe.release
    data = release.model_dump(exclude_unset=True)
    return {"release": [data, {**data, "version": f"{release.version}.1"}]}


def _last(catalog: Catalog) -> list[tuple[str, str, str]]:
    name = max(catalog.recipes)
    return [(name, catalog.recipes[name].recipe.release[0].version, next(iter(catalog.toolchains)))]


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    kept = work()
    seconds = time.process_time() - started
    del kept  # taking it apart is not the work
    return seconds


def _megabytes(work: Callable[[], object]) -> float:
    tracemalloc.start()
    kept = work()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return size / 1e6


if __name__ == "__main__":
    sys.exit(main())
