"""Plans as columns: the same steps whichever way they are asked for, and in the order that keys depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import PLATFORM, dependent, library, toolchain
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import PlanError
from farm.model.plan import Plan
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.plan.canonical import as_json
from farm.plan.keys import REQUIRES
from farm.plan.planner import plan
from farm.plan.values import Wanted

MUSL = "musllinux_1_2_x86_64"
ARM = "manylinux_2_17_aarch64"
WANT = Wanted(pythons=("3.11", "3.13"), without={f"cp311/{ARM}": "no headers"})


def values(*recipes: dict[str, Any]) -> Catalog:
    """A catalog without files, for three platforms."""
    loaded = {data["name"]: LoadedRecipe(recipe=Recipe.model_validate(data), directory=Path("/no")) for data in recipes}
    toolchains = {tag: Toolchain.model_validate(toolchain(tag)) for tag in (PLATFORM, MUSL, ARM)}
    return Catalog(root=Path("/no"), recipes=loaded, toolchains=toolchains, providers={name: name for name in loaded})


@st.composite
def catalogs(draw: st.DrawFn, size: int = 9) -> list[dict[str, Any]]:
    """Recipes that require any before them, some with bounds, several releases, and platforms they are not for."""
    recipes: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, size))):
        earlier = [data["name"] for data in recipes if data["kind"] == "library"]
        picked = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
        host = [f"{name}{draw(st.sampled_from(['', '', '>=1.0', '>=1.1']))}" for name in picked]
        versions = draw(st.sampled_from([("1.1",), ("1.0", "1.1"), ("1.0", "1.1", "2.0")]))
        more: dict[str, Any] = {}
        if draw(st.integers(0, 4)) == 0:
            more["when"] = [{"platform": ["musl*"], "impossible": "no musl"}]
        elif draw(st.integers(0, 3)) == 0:
            more["when"] = [{"platform": ["*_aarch64"], "args": ["--arm"]}]
        make = draw(st.sampled_from([library, library, library, dependent]))
        recipes.append(make(f"r{number}", *versions, host=host, **more))
    return recipes


@given(catalogs(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_step_is_the_same_however_it_is_asked_for(recipes: list[dict[str, Any]], data: st.DataObject) -> None:
    made = plan(values(*recipes), WANT)
    steps = list(made.steps)
    assert len(made.steps) == len(steps)
    assert made == Plan(steps=tuple(steps), impossible=made.impossible)
    by_id = made.by_id()
    assert list(by_id) == [step.id for step in steps]
    assert len(by_id) == len(steps)
    if steps:
        place = data.draw(st.integers(-len(steps), len(steps) - 1))
        assert made.steps[place] == steps[place] == by_id[steps[place].id]
        assert tuple(made.steps[place:]) == tuple(steps[place:])


@given(catalogs())
@settings(max_examples=80, deadline=None)
def test_what_a_step_is_built_against_comes_in_the_order_of_requirements(recipes: list[dict[str, Any]]) -> None:
    hosts = {data["name"]: [text.partition(">")[0] for text in data["requires"]["host"]] for data in recipes}

    def closure(name: str) -> list[str]:
        found: dict[str, None] = {}
        for host in hosts[name]:
            found.update(dict.fromkeys(closure(host)))
            found[host] = None
        return list(found)

    for step in plan(values(*recipes), WANT).steps:
        order = closure(step.recipe)
        assert [required.partition("@")[0] for required in step.requires] == order
        told = [i.label.removeprefix(REQUIRES) for i in step.inputs if i.label.startswith(REQUIRES)]
        assert told == [name for name in order if name in told]
        assert set(hosts[step.recipe]) <= set(told)


@pytest.mark.parametrize(
    "id_", ["", "a", "a@1.0", "a@1.0/nowhere", "a@2.0/" + PLATFORM, "b@1.0/" + PLATFORM, "a/x@1.0"]
)
def test_ids_that_are_not_there(id_: str) -> None:
    made = plan(values(library("a")), WANT)
    assert id_ not in made.by_id()
    with pytest.raises(KeyError):
        made.by_id()[id_]
    with pytest.raises(IndexError):
        made.steps[3]


def test_a_plan_of_nothing_but_impossible_steps_is_empty() -> None:
    made = plan(values(library("a", when=[{"platform": ["*"], "impossible": "never"}])), WANT)
    assert (list(made.steps), len(made.steps), len(made.by_id())) == ([], 0, 0)
    assert {row.reason for row in made.impossible} == {"never"}


def test_only_libraries_can_be_required() -> None:
    with pytest.raises(PlanError, match="b requires a, which is not a library"):
        plan(values(dependent("a"), dependent("b", host=["a"])), WANT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_what_keys_hash_is_plain_json(value: Any) -> None:
    assert as_json(value) == json.dumps(value, sort_keys=True)
