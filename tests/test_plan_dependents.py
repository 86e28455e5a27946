"""Dependents that need other dependents when they run: what is planned with them, and what their tests wait for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from catalog_builder import PLATFORM, catalog, dependent, library
from reworks import imports, key_of, lost, planned, releases, values

from farm.build.planning import make_plan, own_python
from farm.catalog import load_from
from farm.model.rework import Rework, Task, Verb
from farm.plan.planner import plan
from farm.plan.reach import Facts
from farm.plan.rework import rework
from farm.plan.selection import ids_beside, needed_to_run
from farm.plan.values import Wanted

PY = f"{PLATFORM}/cp311"


def runs_with(name: str, *others: str, host: Iterable[str] = ("blas",), **more: Any) -> dict[str, Any]:
    return dependent(name, **{"requires": {"host": list(host), "dependents": list(others)}, **more})


def blas(*versions: str, **epochs: int) -> dict[str, Any]:
    return library("blas", release=releases(*versions, epochs={name.replace("v", ""): n for name, n in epochs.items()}))


NUM, SCI = dependent("num", host=["blas"]), runs_with("sci", "num")
# In a plan's order it comes before what it runs with.
ALGEBRA = runs_with("algebra", "num")
BESIDE = Facts(beside={"sci": ("num",), "algebra": ("num",)})


def task(found: Rework, id_: str) -> Task:
    return next(task for task in found.tasks if task.id == id_)


def test_who_asks_for_a_dependent_gets_what_it_runs_with() -> None:
    known = values(blas("1"), NUM, SCI, runs_with("learn", "sci"), dependent("other"))
    made = plan(known, Wanted(recipes=("learn",), pythons=("3.11",)))
    assert {step.recipe for step in made.steps} == {"blas", "num", "sci", "learn"}
    (learn,) = (step for step in made.steps if step.recipe == "learn")
    assert set(ids_beside(learn, known.recipes)) == {f"sci@1.0/{PY}", f"num@1.0/{PY}"}
    assert not {f"num@1.0/{PY}", f"sci@1.0/{PY}"}.intersection(learn.requires), "it is not built against them"


def test_two_that_need_each_other_are_no_cycle() -> None:
    known = values(runs_with("a", "b", host=()), runs_with("b", "a", host=()))
    made = plan(known, Wanted(recipes=("a",), pythons=("3.11",)))
    assert [step.recipe for step in made.steps] == ["a", "b"]
    assert needed_to_run(["a"], lambda name: known.recipes[name].recipe) == ("b",)


def test_a_dependent_s_key_is_its_own() -> None:
    """What it runs with is no input of its build: another numpy builds no scipy."""
    alone = planned(blas("1"), dependent("sci", host=["blas"]), NUM)
    assert key_of(alone, "sci") == key_of(planned(blas("1"), SCI, NUM), "sci")


@pytest.mark.parametrize("name", ["sci", "algebra"])
def test_it_is_tested_again_when_what_it_runs_with_is_built_anew(name: str) -> None:
    user = {"sci": SCI, "algebra": ALGEBRA}[name]
    before = planned(blas("1"), NUM, user)
    faster = {"build": {"system": "pep517", "cflags": ["-O3"]}}
    found = rework(before, planned(blas("1"), {**NUM, **faster}, user), BESIDE)
    assert {t.id for t in found.tasks} == {f"{verb} num@1.0/{PY}" for verb in ("build", "test")} | {
        f"test {name}@1.0/{PY}"
    }
    test = task(found, f"test {name}@1.0/{PY}")
    assert test.why == "it runs with num 1.0, which is built anew (build.cflags was added: -O3)"
    assert test.requires == (f"build num@1.0/{PY}",)
    assert (test.natives, test.beside) == ({"blas": "1"}, (f"num@1.0/{PY}",))
    again = rework(before, planned(blas("1"), {**NUM, "build": {**faster["build"], "args": ["x"]}}, user), BESIDE)
    assert task(again, test.id).key != test.key, "that it passed with another one says nothing"


@pytest.mark.parametrize("name", ["sci", "algebra"])
def test_after_a_break_it_is_tested_with_those_that_were_moved_too(name: str) -> None:
    user = {"sci": SCI, "algebra": ALGEBRA}[name]
    before, after = planned(blas("1"), NUM, user), planned(blas("1", "2", v2=2), NUM, user)
    wheels = {key_of(before, each): imports("dgemm", needs=["blas"]) for each in ("num", name)}
    facts = Facts(differences=lost("blas", "1", "2", "gone"), imports=wheels, beside=BESIDE.beside)
    found = rework(before, after, facts)
    test = task(found, f"test {name}@1.0/{PY}")
    made = {f"rebind {name}@1.0/{PY}", f"rebind num@1.0/{PY}", f"build blas@2/{PLATFORM}"}
    assert set(test.requires) == made
    assert test.natives == {"blas": "2"}


def test_it_brings_the_libraries_of_what_it_runs_with() -> None:
    user = runs_with("sci", "num", host=["zlib"])
    before = planned(blas("1"), library("zlib"), NUM, user)
    found = rework(before, planned(blas("1", "1.1"), library("zlib"), NUM, user), BESIDE)
    test = task(found, f"test sci@1.0/{PY}")
    assert test.why == "it runs with blas 1.1, was 1"
    assert test.natives == {"zlib": "1.0", "blas": "1.1"}


def test_a_wheel_of_the_stable_abi_is_found_beside_any_python() -> None:
    stable = dependent("num", host=["blas"], build={"system": "pep517", "abi3": "cp310"})
    before = planned(blas("1"), stable, SCI)
    found = rework(before, planned(blas("1", "1.1"), stable, SCI), BESIDE)
    assert task(found, f"test sci@1.0/{PY}").beside == (f"num@1.0/{PLATFORM}/cp310",)
    known = values(blas("1"), stable, SCI)
    (step,) = (step for step in before.steps if step.recipe == "sci")
    assert ids_beside(step, known.recipes) == (f"num@1.0/{PLATFORM}/cp310",)


def test_pythons_that_a_dependent_is_not_for() -> None:
    new = dependent("sci", requires={"host": ["blas"], "pythons": ">=3.12"})
    made = planned(blas("1"), new, NUM, want=Wanted(pythons=("3.9", "3.11", "3.13")))
    assert [step.python for step in made.steps if step.recipe == "sci"] == ["cp313"]
    assert [step.python for step in made.steps if step.recipe == "num"] == ["cp39", "cp311", "cp313"]
    assert {(row.recipe, row.python): row.reason for row in made.impossible} == {
        ("sci", "cp39"): "it needs Python >=3.12",
        ("sci", "cp311"): "it needs Python >=3.12",
    }


def test_a_library_plans_as_before() -> None:
    """What dependents run with concerns no library."""
    (step,) = planned(blas("1")).steps
    assert ids_beside(step, {}) == ()
    assert rework(planned(blas("1")), planned(blas("1", "1.1")), BESIDE).tasks[0].verb is Verb.BUILD


def test_wrong_names_are_faults(tmp_path: Path) -> None:
    from farm.errors import CatalogError

    root = catalog(
        tmp_path,
        library("blas", requires={"dependents": ["num"]}),
        dependent("num", requires={"dependents": ["nmu", "num", "blas"], "pythons": "3.12"}),
        dependent("old", requires={"pythons": ">=3.12"}, build={"system": "pep517", "abi3": "cp311"}),
        library("zlib", requires={"pythons": ">=3.12"}),
    )
    with pytest.raises(CatalogError) as error:
        load_from(root)
    said = str(error.value)
    for line in (
        "recipes/blas/recipe.toml: [requires] dependents #1: does not belong to a library",
        "recipes/num/recipe.toml: [requires] dependents #1: there is no recipe 'nmu'; did you mean 'num'",
        "recipes/num/recipe.toml: [requires] dependents #2: is the recipe itself",
        "recipes/num/recipe.toml: [requires] dependents #3: blas is a native library",
        "recipes/num/recipe.toml: [requires] pythons: '3.12' is not a version bound, like '>=3.12'",
        "recipes/old/recipe.toml: [requires] pythons: does not go with `abi3`: it is built with cp311",
        "recipes/zlib/recipe.toml: [requires] pythons: does not belong to a library",
    ):
        assert line in said, said


def test_the_key_of_what_comes_along_is_the_one_it_has_alone(tmp_path: Path) -> None:
    """Of a wheel of the stable ABI the Python is not the one that is asked for; its SDK is an input all the same."""
    stable = dependent("num", host=["blas"], build={"system": "pep517", "abi3": own_python()})
    root = catalog(tmp_path, blas("1"), stable, SCI)

    def key_in(*recipes: str) -> str:
        made = make_plan(load_from(root), recipes=recipes, platforms=(PLATFORM,), pythons=("3.99",))
        return next(step.key for step in made.steps if step.recipe == "num")

    assert key_in("sci") == key_in("num") == key_in()
