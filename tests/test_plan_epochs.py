"""Recipes with releases of several ABI epochs: which one others are built against, and what goes into keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalog_builder import PLATFORM, catalog, dependent, library, release, write_recipe

from farm.catalog import load_from
from farm.errors import CatalogError, PlanError
from farm.model.plan import Plan, Step
from farm.plan.planner import plan
from farm.plan.values import Wanted

WANT = Wanted(pythons=("3.11",))


def gmp(*versions: str, epochs: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    """A library whose releases have these epochs; the others that of `[abi]`, 1."""
    return library("gmp", release=[epoch(version, (epochs or {}).get(version)) for version in versions], **more)


def epoch(version: str, number: int | None) -> dict[str, Any]:
    return release(version, abi_epoch=number) if number else release(version)


def made(tmp_path: Path, *recipes: dict[str, Any], want: Wanted = WANT) -> Plan:
    return plan(load_from(catalog(tmp_path, *recipes)), want)


def step(found: Plan, name: str) -> Step:
    (one,) = (step for step in found.steps if f"{step.recipe}@{step.version}" == name or step.recipe == name)
    return one


def shown(one: Step) -> dict[str, str]:
    return {item.label: item.shown for item in one.inputs}


TWO = {"7.0": 2, "7.1": 2}


def test_dependents_are_built_against_the_oldest_release_of_the_newest_epoch(tmp_path: Path) -> None:
    found = made(tmp_path, gmp("6.2", "6.3", "7.0", "7.1", epochs=TWO), dependent("d", host=["gmp>=6"]))
    assert step(found, "d").requires == (f"gmp@7.0/{PLATFORM}",)
    assert [s.version for s in found.steps if s.recipe == "gmp"] == ["7.0", "7.1"], "nobody needs the older epoch"


def test_a_bound_may_keep_a_dependent_in_an_older_epoch_which_is_then_tested_with_its_newest(tmp_path: Path) -> None:
    want = Wanted(recipes=("d",), pythons=("3.11",))
    recipes = (gmp("6.2", "6.3", "7.0", "7.1", epochs=TWO), dependent("d", host=["gmp<7"]))
    found = made(tmp_path, *recipes, want=want)
    assert step(found, "d").requires == (f"gmp@6.2/{PLATFORM}",)
    assert [s.version for s in found.steps if s.recipe == "gmp"] == ["6.2", "6.3"]


def test_a_release_of_an_older_epoch_stays_buildable_with_the_key_it_had(tmp_path: Path) -> None:
    old = step(made(tmp_path / "old", gmp("6.2", "6.3"), want=Wanted(recipes=("gmp@6.3",))), "gmp")
    for number, recipe in enumerate(
        (
            gmp("6.2", "6.3", "7.0", epochs={"7.0": 2}),
            gmp("6.2", "6.3", "7.0", epochs={"6.2": 1, "6.3": 1}, abi={"epoch": 2}),
        )
    ):
        found = made(tmp_path / str(number), recipe, want=Wanted(recipes=("gmp@6.3",)))
        assert step(found, "gmp").key == old.key
    new = step(made(tmp_path / "new", gmp("6.2", "7.0", epochs={"7.0": 2}), want=Wanted(recipes=("gmp",))), "gmp")
    assert (shown(old)["abi.epoch"], shown(old)["abi.baseline"]) == ("1", "6.3"), "what 6.2 had is pinned nowhere"
    assert (shown(new)["abi.epoch"], shown(new)["abi.baseline"]) == ("2", "7.0")


def test_a_break_moves_the_keys_of_dependents_and_the_next_compatible_release_does_not(tmp_path: Path) -> None:
    root = catalog(tmp_path, gmp("6.3"), dependent("d", host=["gmp"]))
    keys = []
    for versions in (("6.3",), ("6.3", "7.0"), ("6.3", "7.0", "7.1")):
        write_recipe(root, gmp(*versions, epochs=TWO))
        keys.append(step(plan(load_from(root), WANT), "d").key)
    assert keys[0] != keys[1] == keys[2]


def test_pinned_abis_of_another_epoch_are_no_inputs(tmp_path: Path) -> None:
    root = catalog(tmp_path)
    files = {f"abi/{version}/{PLATFORM}.abi": version for version in ("6.2", "6.3", "7.0", "7.1")}
    write_recipe(root, gmp("6.2", "6.3", "7.0", "7.1", epochs=TWO), files)
    found = plan(load_from(root), Wanted(recipes=("gmp@7.1",)))
    pins = {label for label in shown(step(found, "gmp")) if label.startswith("abi/")}
    assert pins == {f"abi/7.0/{PLATFORM}.abi"}


def test_two_epochs_of_one_library_never_meet_in_a_build(tmp_path: Path) -> None:
    recipes = (
        gmp("6.3", "7.0", epochs={"7.0": 2}),
        library("mpfr", host=["gmp"]),
        dependent("d", host=["gmp<7", "mpfr"]),
    )
    with pytest.raises(PlanError) as caught:
        made(tmp_path, *recipes)
    assert str(caught.value.where) == "d"
    assert "d is built against gmp 6.3 (ABI epoch 1), but mpfr, which it requires, against gmp 7.0 (ABI epoch 2)" in (
        str(caught.value)
    )
    assert made(tmp_path / "same", recipes[0], library("mpfr", host=["gmp<7"]), recipes[2]).steps


@pytest.mark.parametrize(
    ("epochs", "own", "said"),
    [
        ({"6.2": 2}, 1, "[release #2] abi_epoch: is that of [abi], 1, below 2 of 6.2: an ABI epoch never goes down"),
        ({"6.2": 3, "6.3": 2, "7.0": 3}, 1, "[release #2] abi_epoch: is 2, below 3 of 6.2"),
        ({"7.0": 1}, 2, "[release #3] abi_epoch: is 1, below 2 of 6.3"),
        ({"7.0": 100}, 2, "[release #3] abi_epoch: input should be less than or equal to 99"),
    ],
)
def test_epochs_never_go_down(tmp_path: Path, epochs: dict[str, int], own: int, said: str) -> None:
    root = catalog(tmp_path, gmp("6.2", "6.3", "7.0", epochs=epochs, abi={"epoch": own}))
    with pytest.raises(CatalogError) as caught:
        load_from(root)
    assert f"recipes/gmp/recipe.toml: {said}" in str(caught.value)


def test_a_dependent_has_no_epoch(tmp_path: Path) -> None:
    root = catalog(tmp_path, dependent("d", release=[epoch("1", 2)]))
    with pytest.raises(CatalogError, match="does not belong to a dependent"):
        load_from(root)


def test_link_names_clash_in_any_epoch_that_both_have(tmp_path: Path) -> None:
    product = {"library": [{"name": "gmp", "archive": "lib/libgmp.a", "exports": ["*"]}]}
    fork = library("mpir", products=product, abi={"epoch": 2})
    with pytest.raises(CatalogError, match=r"the shared name libgmp-nf02\.so is that of gmp"):
        load_from(catalog(tmp_path, gmp("6.3", "7.0", epochs={"7.0": 2}), fork))
