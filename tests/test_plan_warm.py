"""A planner that is kept warm says what a planner says that sees the changed catalog for the first time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import PLATFORM, dependent, library
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_columns import WANT, catalogs, values

from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import PlanError
from farm.model.plan import Plan
from farm.model.recipe import Recipe
from farm.plan.planner import plan
from farm.plan.values import Wanted
from farm.plan.warm import WarmPlanner


def changed(catalog: Catalog, data: dict[str, Any]) -> Catalog:
    """The catalog with another recipe in the place of one of the same name."""
    loaded = LoadedRecipe(recipe=Recipe.model_validate(data), directory=Path("/no"))
    return dataclasses.replace(catalog, recipes={**catalog.recipes, data["name"]: loaded})


def attempt(catalog: Catalog, wanted: Wanted) -> Plan | str:
    try:
        return plan(catalog, wanted)
    except PlanError as error:
        return type(error).__name__


def keys(made: Plan) -> dict[str, str]:
    return {step.id: step.key for step in made.steps}


@pytest.mark.parametrize("many", [50, 0])
def test_warm_is_cold(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where everything that is required is treated as a hub."""
    monkeypatch.setattr("farm.plan.warm._MANY", many)
    warm_is_cold()


@given(catalogs(), st.data())
@settings(max_examples=150, deadline=None)
def warm_is_cold(recipes: list[dict[str, Any]], data: st.DataObject) -> None:
    wanted = dataclasses.replace(WANT, newest=data.draw(st.booleans()))
    if data.draw(st.integers(0, 5)) == 0:
        wanted = dataclasses.replace(wanted, recipes=(recipes[-1]["name"],))
    catalog = values(*recipes)
    warm = WarmPlanner(catalog, wanted)
    first, was = warm.plan, keys(warm.plan)
    for _ in range(data.draw(st.integers(1, 5))):
        edited = data.draw(edits(recipes))
        after = changed(catalog, edited)
        cold = attempt(after, wanted)
        if isinstance(cold, str):
            with pytest.raises(PlanError):
                warm.change(after, edited["name"])
            assert warm.plan == plan(catalog, wanted)
            continue
        made = warm.change(after, edited["name"])
        asked = data.draw(st.sampled_from(["all", "one", "computed", "none"]))  # else after further changes
        if asked == "all":
            assert made == cold
            assert made.steps[:] == tuple(made.by_id().values())
        elif asked == "one" and cold.steps:
            place = data.draw(st.integers(0, len(cold.steps) - 1))
            assert made.steps[place] == cold.steps[place]
        elif asked == "computed":
            warm.compute_keys()
        catalog = after
        recipes = [edited if item["name"] == edited["name"] else item for item in recipes]
    assert warm.plan == plan(catalog, wanted)
    assert keys(first) == was  # plans are values


@st.composite
def edits(draw: st.DrawFn, recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the recipes with something changed; requirements may now form a cycle or not be met."""
    item = draw(st.sampled_from(recipes))
    kind = draw(st.sampled_from(["args", "host", "releases", "when", "kind", "revision"]))
    if kind == "args":
        return {**item, "build": {**item["build"], "args": draw(st.sampled_from([["--one"], ["--two"]]))}}
    if kind == "host":
        libraries = [other["name"] for other in recipes if other["kind"] == "library"]
        picked = draw(st.lists(st.sampled_from(libraries), unique=True, max_size=3)) if libraries else []
        bounds = ["", "", ">=1.0", ">=1.1", ">=2.0", "<2"]
        return {**item, "requires": {"host": [f"{name}{draw(st.sampled_from(bounds))}" for name in picked]}}
    if kind == "releases":
        versions = draw(st.sampled_from([("1.0",), ("1.1",), ("1.0", "1.1"), ("1.0", "1.1", "2.0"), ("1.1", "2.0")]))
        release = library("x", *versions)["release"]
        if item["kind"] == "library" and draw(st.booleans()):
            release[-1]["abi_epoch"] = 2
        return {**item, "release": release}
    if kind == "when":
        rows = [[], [{"platform": ["musl*"], "impossible": "no"}], [{"platform": ["*_aarch64"], "cflags": ["-Os"]}]]
        return {**item, "when": draw(st.sampled_from(rows))}
    if kind == "revision":
        last = {**item["release"][-1], "revision": draw(st.integers(1, 3))}
        return {**item, "release": [*item["release"][:-1], last]}
    if item["kind"] == "library":
        return dependent(item["name"], host=item["requires"]["host"])
    return library(item["name"], host=item["requires"]["host"])


def test_a_new_release_leaves_the_keys_of_dependents_alone() -> None:
    recipes = [library("gmp", "6.2"), library("mpfr", host=["gmp"]), library("mpc", host=["mpfr"])]
    catalog = values(*recipes)
    warm = WarmPlanner(catalog, Wanted())
    before = keys(warm.plan)
    after = keys(warm.change(changed(catalog, library("gmp", "6.2", "6.3")), "gmp"))
    assert before.items() <= after.items()
    assert {id_.partition("/")[0] for id_ in after.keys() - before.keys()} == {"gmp@6.3"}


def test_who_was_built_against_a_release_that_goes_is_built_against_the_next() -> None:
    """The next one's own key is as before: that says nothing of those who took the one that went."""
    before = values(library("b", "1.0", "1.1"), library("c", host=["b"]))
    after = values(library("b", "1.1"), library("c", host=["b"]))
    warm = WarmPlanner(before, WANT)
    was = keys(warm.plan)
    made = warm.change(after, "b")
    assert made == plan(after, WANT)
    assert {id_.partition("/")[0] for id_, key in keys(made).items() if was[id_] != key} == {"c@1.0"}


def test_releases_that_come_and_go_below_bounds() -> None:
    recipes = [
        library("a", "1.1"),
        library("b", host=["a>=1.1"]),
        library("c", host=["a", "b"]),
        library("d", host=["c"]),
    ]
    catalog = values(*recipes)
    warm = WarmPlanner(catalog, Wanted())
    for versions in (("1.0", "1.1"), ("0.9", "1.0", "1.1", "2.0"), ("2.0",), ("1.0", "1.2"), ("1.0", "1.1"), ("1.1",)):
        after = changed(catalog, library("a", *versions))
        assert warm.change(after, "a") == plan(after, Wanted()), versions
    with pytest.raises(PlanError, match=r"no release of a will do: b requires a>=1.1"):
        warm.change(changed(catalog, library("a", "1.0")), "a")
    assert warm.plan == plan(catalog, Wanted())


def test_an_epoch_that_moves_under_two_ways_to_a_library() -> None:
    recipes = [
        library("a", "1.0", "1.1"),
        library("b", host=["a"]),
        library("c", host=["a>=1.1,<2"]),
        library("d", host=["b", "c"]),
    ]
    catalog = values(*recipes)
    warm = WarmPlanner(catalog, Wanted())
    assert warm.plan == plan(catalog, Wanted())
    # b and c take the first and the second release as before: only d, which bounds nothing itself, has two epochs now.
    newer = library("a", "1.5", "2.0")
    newer["release"][-1]["abi_epoch"] = 2
    with pytest.raises(PlanError, match=r"d is built against a 1\.5 \(ABI epoch 1\), but b"):
        warm.change(changed(catalog, newer), "a")
    assert warm.plan == plan(catalog, Wanted())


def test_recipes_that_come_and_go() -> None:
    with_two = values(library("a"), library("b", host=["a"]))
    warm = WarmPlanner(values(library("a")), Wanted())
    assert warm.change(with_two, "b") == plan(with_two, Wanted())
    assert f"b@1.0/{PLATFORM}" in warm.plan.by_id()
    assert warm.change(values(library("a")), "b") == plan(values(library("a")), Wanted())


def test_a_change_far_below_a_long_chain_needs_no_recursion() -> None:
    recipes = [library(f"l{n}", host=[f"l{n - 1}"] if n else []) for n in range(1500)]
    catalog = values(*recipes)
    warm = WarmPlanner(catalog, Wanted(platforms=(PLATFORM,)))
    was = warm.plan.by_id()[f"l1499@1.0/{PLATFORM}"].key
    made = warm.change(changed(catalog, {**recipes[0], "summary": "new"}), "l0")
    assert made.by_id()[f"l1499@1.0/{PLATFORM}"].key != was
    made = warm.change(changed(catalog, {**recipes[0], "summary": "new"}), "l0")
    assert (
        made.steps[-1].key
        == plan(changed(catalog, {**recipes[0], "summary": "new"}), WANT).by_id()[f"l1499@1.0/{PLATFORM}"].key
    )


def test_a_dependent_that_comes_to_run_with_another() -> None:
    """Who asks for one gets what it runs with, also if it did not before."""
    before = values(library("lib"), dependent("num", host=["lib"]), dependent("sci", host=["lib"]))
    wanted = Wanted(recipes=("sci",), pythons=("3.11",))
    warm = WarmPlanner(before, wanted)
    after = changed(before, dependent("sci", requires={"host": ["lib"], "dependents": ["num"]}))
    assert keys(warm.change(after, "sci")) == keys(plan(after, wanted))
    assert {step.recipe for step in warm.plan.steps} == {"lib", "num", "sci"}
