"""Plans: what is built, against which release, in which order, and with which identity."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import PLATFORM, SHA, catalog, dependent, library, release, write_recipe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.catalog import load_from
from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import PlanError, UsageError
from farm.model.plan import Plan, Step
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.plan.compose import key_of
from farm.plan.planner import plan
from farm.plan.selection import python_tag
from farm.plan.values import Wanted

MUSL = "musllinux_1_2_x86_64"
ARM = "manylinux_2_17_aarch64"


def ids(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


@pytest.fixture
def stack(tmp_path: Path) -> Catalog:
    return load_from(
        catalog(
            tmp_path,
            library("gmp", "6.2.1", "6.3.0", provides=["bignum"]),
            library("mpfr", "4.2.2", host=["gmp>=6"]),
            dependent("gmpy2", "2.3", host=["mpfr", "gmp>=6.2"]),
            library("zlib"),
            platforms=(PLATFORM, MUSL),
        )
    )


def test_a_dependent_is_built_per_python_against_the_oldest_and_the_newest_comes_along(stack: Catalog) -> None:
    made = plan(stack, Wanted(recipes=("gmpy2",), platforms=(PLATFORM,), pythons=("3.11", "3.13")))
    assert ids(made) == [
        f"gmp@6.2.1/{PLATFORM}",
        f"gmp@6.3.0/{PLATFORM}",
        f"mpfr@4.2.2/{PLATFORM}",
        f"gmpy2@2.3/{PLATFORM}/cp311",
        f"gmpy2@2.3/{PLATFORM}/cp313",
    ]
    last = made.steps[-1]
    assert last.requires == (f"gmp@6.2.1/{PLATFORM}", f"mpfr@4.2.2/{PLATFORM}")
    assert last.slot == f"gmpy2/{PLATFORM}/cp313"
    assert last.kind == "dependent"


def test_without_newest_only_what_is_linked_to_is_built(stack: Catalog) -> None:
    made = plan(stack, Wanted(recipes=("gmpy2",), platforms=(PLATFORM,), pythons=("3.11",), newest=False))
    assert f"gmp@6.3.0/{PLATFORM}" not in ids(made)


def test_a_library_asked_for_builds_its_newest_release(stack: Catalog) -> None:
    assert ids(plan(stack, Wanted(recipes=("gmp",), platforms=(PLATFORM,)))) == [f"gmp@6.3.0/{PLATFORM}"]
    assert ids(plan(stack, Wanted(recipes=("bignum",), platforms=(PLATFORM,)))) == [f"gmp@6.3.0/{PLATFORM}"]
    assert ids(plan(stack, Wanted(recipes=("gmp@6.2.1",), platforms=(PLATFORM,)))) == [f"gmp@6.2.1/{PLATFORM}"]


def test_nothing_asked_means_all(stack: Catalog) -> None:
    made = plan(stack, Wanted(pythons=("3.11",)))
    assert {step.recipe for step in made.steps} == {"gmp", "mpfr", "gmpy2", "zlib"}
    assert {step.platform for step in made.steps} == {PLATFORM, MUSL}


def test_the_oldest_release_that_the_whole_closure_accepts(tmp_path: Path) -> None:
    root = catalog(
        tmp_path,
        library("gmp", "6.1", "6.2", "6.3"),
        library("mpfr", host=["gmp>=6.1"]),
        library("flint", host=["mpfr", "gmp>=6.2"]),
        dependent("d", host=["flint"]),
    )
    made = plan(load_from(root), Wanted(recipes=("d",), pythons=("cp311",))).by_id()
    assert made[f"mpfr@1.0/{PLATFORM}"].requires == (f"gmp@6.1/{PLATFORM}",)
    assert f"gmp@6.2/{PLATFORM}" in made[f"flint@1.0/{PLATFORM}"].requires
    assert f"gmp@6.2/{PLATFORM}" in made[f"d@1.0/{PLATFORM}/cp311"].requires


def test_bounds_that_no_release_meets_together(tmp_path: Path) -> None:
    root = catalog(
        tmp_path,
        library("g", "1", "2"),
        library("a", host=["g<2"]),
        library("b", host=["g>=2"]),
        library("c", host=["a", "b"]),
    )
    with pytest.raises(PlanError, match=r"no release of g will do: a requires g<2, b requires g>=2") as caught:
        plan(load_from(root), Wanted())
    assert caught.value.where == "c"


def test_a_dependent_of_the_stable_abi_is_built_once_with_the_oldest_python(tmp_path: Path) -> None:
    stable = dependent("d", host=["gmp"], build={"system": "pep517", "abi3": "cp311"})
    root = catalog(tmp_path, library("gmp", "6.2"), stable)
    sdk = {f"cp311/{PLATFORM}": "a" * 64, f"cp313/{PLATFORM}": "b" * 64}
    made = plan(load_from(root), Wanted(recipes=("d",), pythons=("3.13", "3.14"), sdk=sdk))
    (step,) = [step for step in made.steps if step.kind == "dependent"]
    assert (step.id, step.python) == (f"d@1.0/{PLATFORM}/cp311", "cp311")
    assert ("python sdk", "a" * 64) in {(i.label, i.digest) for i in step.inputs}


def test_a_new_compatible_release_changes_no_dependents_key(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("gmp", "6.2"), dependent("gmpy2", host=["gmp"]))
    want = Wanted(recipes=("gmpy2",), pythons=("3.11",))
    before = plan(load_from(root), want)
    write_recipe(root, library("gmp", "6.2", "6.3"))
    after = plan(load_from(root), want)
    assert before.steps[-1].key == after.steps[-1].key
    assert before.by_id()[f"gmp@6.2/{PLATFORM}"].key == after.by_id()[f"gmp@6.2/{PLATFORM}"].key
    assert f"gmp@6.3/{PLATFORM}" in after.by_id()


def test_impossible_platforms_with_the_recipes_reason_and_for_all_that_need_it(tmp_path: Path) -> None:
    reason = "its assembly needs SSE2"
    root = catalog(
        tmp_path,
        library("a", when=[{"platform": ["*_aarch64"], "impossible": reason}]),
        library("b", host=["a"]),
        dependent("c", host=["b"]),
        library("d"),
        platforms=(PLATFORM, ARM),
    )
    made = plan(load_from(root), Wanted(pythons=("3.11",)))
    assert {(row.recipe, row.platform): row.reason for row in made.impossible} == {
        ("a", ARM): reason,
        ("b", ARM): f"requires a: {reason}",
        ("c", ARM): f"requires b: requires a: {reason}",
    }
    assert [step.id for step in made.steps if step.platform == ARM] == [f"d@1.0/{ARM}"]


def test_a_platform_may_lack_one_python(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("a"), dependent("c", host=["a"]), platforms=(PLATFORM, ARM))
    made = plan(load_from(root), Wanted(pythons=("3.11", "3.13"), without={f"cp311/{ARM}": "no headers"}))
    assert {step.id for step in made.steps if step.recipe == "c"} == {
        f"c@1.0/{PLATFORM}/cp311",
        f"c@1.0/{PLATFORM}/cp313",
        f"c@1.0/{ARM}/cp313",
    }
    (row,) = made.impossible
    assert (row.recipe, row.platform, row.python, row.reason) == ("c", ARM, "cp311", "no headers")


def test_names_that_are_not_there(stack: Catalog) -> None:
    with pytest.raises(UsageError, match="there is no recipe 'gpm'; did you mean 'gmp'"):
        plan(stack, Wanted(recipes=("gpm",)))
    with pytest.raises(UsageError, match="there is no platform 'win_amd64'"):
        plan(stack, Wanted(platforms=("win_amd64",)))
    with pytest.raises(UsageError, match="gmp has no release '7'"):
        plan(stack, Wanted(recipes=("gmp@7",)))
    with pytest.raises(UsageError, match="'three' is not a Python version"):
        plan(stack, Wanted(pythons=("three",)))
    with pytest.raises(PlanError, match="gmpy2 is built per Python, and none is given"):
        plan(stack, Wanted(recipes=("gmpy2",)))


def test_platform_globs(stack: Catalog) -> None:
    assert {s.platform for s in plan(stack, Wanted(recipes=("gmp",), platforms=("musl*",))).steps} == {MUSL}


@pytest.mark.parametrize(("text", "tag"), [("3.11", "cp311"), ("cp313", "cp313"), ("3.9", "cp39")])
def test_python_tags(text: str, tag: str) -> None:
    assert python_tag(text) == tag


def _values(*recipes: dict[str, Any], platforms: tuple[str, ...] = (PLATFORM,)) -> Catalog:
    """A catalog without files, as the planner needs it."""
    from catalog_builder import toolchain

    loaded = {
        data["name"]: LoadedRecipe(recipe=Recipe.model_validate(data), directory=Path("/nowhere")) for data in recipes
    }
    toolchains = {platform: Toolchain.model_validate(toolchain(platform)) for platform in platforms}
    return Catalog(root=Path("/nowhere"), recipes=loaded, toolchains=toolchains, providers={n: n for n in loaded})


def test_a_chain_of_a_thousand_libraries_needs_no_recursion() -> None:
    names = [f"l{i}" for i in range(1200)]
    made = plan(
        _values(*(library(name, host=names[i - 1 : i] if i else ()) for i, name in enumerate(names))),
        Wanted(recipes=(names[-1],)),
    )
    assert len(made.steps) == len(names)
    assert len(made.steps[-1].requires) == len(names) - 1


def test_a_cycle_is_an_error_of_the_plan_too() -> None:
    with pytest.raises(PlanError, match=r"(a -> b -> a|b -> a -> b)"):
        plan(_values(library("a", host=["b"]), library("b", host=["a"])), Wanted())


def test_an_unknown_requirement_is_an_error_of_the_plan_too() -> None:
    with pytest.raises(PlanError, match="a requires nothing, which no recipe provides"):
        plan(_values(library("a", host=["nothing"])), Wanted())


# Random catalogs: recipe i may require any before it; some have several releases.
@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 12))
    recipes = []
    for i in range(count):
        host = draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else []
        versions = draw(st.sampled_from([("1.0",), ("1.0", "1.1"), ("1.0", "1.1", "2.0")]))
        make = dependent if draw(st.booleans()) and i == count - 1 else library
        recipes.append(make(f"r{i}", *versions, host=[f"r{j}" for j in host]))
    return draw(st.permutations(recipes))


WANT = Wanted(pythons=("3.11",))


@given(graphs())
@settings(max_examples=120, deadline=None)
def test_plans_are_topological_deterministic_and_complete(recipes: list[dict[str, Any]]) -> None:
    made = plan(_values(*recipes), WANT)
    assert made == plan(_values(*reversed(recipes)), WANT)
    place = {step.id: i for i, step in enumerate(made.steps)}
    assert len(place) == len(made.steps)
    assert len({step.key for step in made.steps}) == len(made.steps)
    by_name = {data["name"]: data for data in recipes}
    for i, step in enumerate(made.steps):
        assert all(place[required] < i for required in step.requires)
        assert step.key == key_of(step.inputs)
        named = [required.partition("@")[0] for required in step.requires]
        assert len(set(named)) == len(named)  # one release of each
        assert set(by_name[step.recipe]["requires"]["host"]) <= set(named)
        steps = made.by_id()
        for j, required in enumerate(step.requires):  # each before those that need it
            assert {r.partition("@")[0] for r in steps[required].requires} <= set(named[:j])


@given(graphs(), st.data())
@settings(max_examples=120, deadline=None)
def test_a_key_changes_if_and_only_if_an_input_in_its_cone_changes(
    recipes: list[dict[str, Any]], data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(sorted(item["name"] for item in recipes)))
    before = plan(_values(*recipes), WANT)
    edited = [
        {**item, "build": {**item["build"], "args": ["--new"]}} if item["name"] == changed else item for item in recipes
    ]
    after = plan(_values(*edited), WANT)
    assert ids(before) == ids(after)
    for old, new in zip(before.steps, after.steps, strict=True):
        cone = {old.recipe} | {required.partition("@")[0] for required in old.requires}
        assert (old.key != new.key) == (changed in cone), old.id


@given(graphs())
@settings(max_examples=40, deadline=None)
def test_tests_watch_and_audit_change_no_key(recipes: list[dict[str, Any]]) -> None:
    aside = {
        "watch": {"kind": "page", "at": "https://example.org", "pattern": r"a-(\d)", "schedule": "0 0 * * 0"},
        "rebuild": {"schedule": "0 0 * * 0"},
        "audit": {"allow_libraries": ["libX11.so.6"]},
        "tests": {"upstream": {"command": ["true"]}},
    }
    after = plan(_values(*({**item, **aside} for item in recipes)), WANT)
    assert plan(_values(*recipes), WANT) == after


_NEW: dict[str, tuple[dict[str, Any], str]] = {
    "summary": ({"summary": "new"}, "summary"),
    "license": ({"license": "ISC"}, "license"),
    "homepage": ({"homepage": "https://example.org"}, "homepage"),
    "revision": ({"release": [release("1.0", revision=1)]}, "release.revision"),
    "source": (
        {"release": [{"version": "1.0", "source": [{"location": [{"url": "https://x/y", "sha256": SHA[::-1]}]}]}]},
        "source 1",
    ),
    "args": ({"build": {"system": "autotools", "args": ["--disable-shared", "--x"]}}, "build.args"),
    "env": ({"build": {"system": "autotools", "args": ["--disable-shared"], "env": {"A": "b"}}}, "build.env"),
    "when": ({"when": [{"platform": ["manylinux*"], "cflags": ["-O3"]}]}, "build.cflags"),
    "tools": ({"requires": {"tools": ["m4"]}}, "requires.tools"),
    "epoch": ({"abi": {"epoch": 2}}, "abi.epoch"),
    "variant": (
        {"variant": [{"level": "x86-64-v3", "platform": ["manylinux*"], "cflags": ["-O3"]}]},
        "variant x86-64-v3.",
    ),
}


@pytest.mark.parametrize("name", sorted(_NEW))
def test_every_field_that_makes_bytes_is_in_the_key_under_its_own_name(name: str) -> None:
    change, label = _NEW[name]
    old = plan(_values(library("a")), WANT).steps[0]
    new = plan(_values({**library("a"), **change}), WANT).steps[0]
    assert old.key != new.key
    differing = {item.label for item in set(old.inputs) ^ set(new.inputs)}
    assert all(item.startswith(label) for item in differing), differing


def test_a_row_for_another_platform_changes_nothing_here() -> None:
    platforms = (PLATFORM, ARM)
    old = plan(_values(library("a"), platforms=platforms), WANT)
    row = {"platform": ["*_aarch64"], "args": ["--x"]}
    new = plan(_values(library("a", when=[row]), platforms=platforms), WANT)
    assert {o.platform for o, n in zip(old.steps, new.steps, strict=True) if o.key != n.key} == {ARM}


def test_a_row_for_a_newer_release_changes_no_older_one_and_nothing_that_is_built_against_that() -> None:
    b = dependent("b", host=["a"])
    old = plan(_values(library("a"), b), WANT).by_id()
    rows = [{"release": ">=2", "exports": {"a": ["new_*"]}}, {"release": "<2", "platform": ["*_aarch64"]}]
    found = plan(_values(library("a", "1.0", "2.0", when=rows), b), WANT).by_id()
    assert {id_: step.key for id_, step in found.items() if id_ in old} == {id_: step.key for id_, step in old.items()}
    (newer,) = found.keys() - old.keys()
    without = plan(_values(library("a", "1.0", "2.0"), b), WANT).by_id()[newer]
    assert _labels_that_differ(found[newer], without) == {"products.library"}


@pytest.mark.parametrize(("bound", "counts"), [("<1.3.2", True), (">=1.3.2", False), ("==1.3.*", True), ("", True)])
def test_a_row_counts_for_the_releases_that_it_names(bound: str, counts: bool) -> None:
    row = {"release": bound, "platform": ["manylinux*"], "cflags": ["-O3"]}
    old = plan(_values(library("a", "1.3.1")), WANT).steps[0]
    new = plan(_values(library("a", "1.3.1", when=[row])), WANT).steps[0]
    assert _labels_that_differ(old, new) == ({"build.cflags"} if counts else set())


def _labels_that_differ(one: Step, other: Step) -> set[str]:
    return {item.label for item in set(one.inputs) ^ set(other.inputs)}


def test_where_a_source_comes_from_changes_nothing() -> None:
    moved = {"version": "1.0", "source": [{"location": [{"url": "https://other/x", "sha256": SHA}] * 2}]}
    assert (
        plan(_values(library("a")), WANT).steps[0].key
        == plan(_values(library("a", release=[moved])), WANT).steps[0].key
    )


def test_patches_and_the_requirements_lock_count_by_content(tmp_path: Path) -> None:
    data = dependent("a", release=[release("1.0", patches=["x.patch"])], requires={"python": "build.txt"})

    def made(patch: str, lock: str) -> Any:
        root = Path(tempfile.mkdtemp(dir=tmp_path))
        catalog(root)
        write_recipe(root, data, {"patches/x.patch": patch, "build.txt": lock})
        return plan(load_from(root), WANT).steps[0]

    first = made("1", "1")
    assert first.key == made("1", "1").key
    assert {i.label for i in set(first.inputs) ^ set(made("2", "1").inputs)} == {"patch x.patch"}
    assert {i.label for i in set(first.inputs) ^ set(made("1", "2").inputs)} == {"requires.python"}


def test_the_python_sdk_counts_for_dependents_only() -> None:
    values = _values(library("a"), dependent("b", host=["a"]))
    old = plan(values, dataclasses.replace(WANT, sdk={"cp311": "1"}))
    new = plan(values, dataclasses.replace(WANT, sdk={"cp311": "2"}))
    special = plan(values, dataclasses.replace(WANT, sdk={"cp311": "1", f"cp311/{PLATFORM}": "2"}))
    assert old.steps[0].key == new.steps[0].key
    assert old.steps[1].key != new.steps[1].key
    assert special == new


@pytest.mark.parametrize(
    ("change", "counts"),
    [({"isa": "x86-64-v2"}, True), ({"flags": {"c": ["-O3"]}}, True), ({"run": {"kind": "qemu"}}, False)],
)
def test_the_toolchain_counts_but_not_its_runner(change: dict[str, Any], counts: bool) -> None:
    from catalog_builder import toolchain

    values = _values(library("a"))
    new = dataclasses.replace(values, toolchains={PLATFORM: Toolchain.model_validate(toolchain(PLATFORM, **change))})
    assert (plan(values, WANT).steps[0].key != plan(new, WANT).steps[0].key) == counts


@pytest.mark.filterwarnings("ignore")
@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_different_arguments_have_different_keys(one: str, other: str) -> None:
    def key(*args: str) -> str:
        return plan(_values(library("a", build={"system": "make", "args": args})), WANT).steps[0].key

    if one.strip() != other.strip():
        assert key(one) != key(other)
    assert key(one, other) != key(one + other) or not (one.strip() and other.strip())
