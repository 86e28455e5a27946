"""Recipes that are made to break the farm: each is refused by file, key and reason, and soon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalog_builder import catalog, dependent, library
from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier
from packaging.version import InvalidVersion

from farm.catalog.loader import examine
from farm.model import pypa, toml

DIGITS = "9" * 5000  # Python makes no number of so many
NESTED = f"b; {'(' * 3000}python_version>'3'{')' * 3000}"


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in examine(root)[1]]


def _product(**keys: Any) -> dict[str, Any]:
    return library("a", products={"library": [{"name": "a", "archive": "lib/liba.a", "exports": ["a_*"], **keys}]})


def _headers(glob: str) -> dict[str, Any]:
    return library("a", products={**_product()["products"], "headers": [glob]})


def _watch(pattern: str) -> dict[str, Any]:
    return library("a", watch={"kind": "page", "at": "https://x", "pattern": pattern})


def _release(**keys: Any) -> dict[str, Any]:
    data = library("a")
    data["release"][0].update(keys)
    return data


RECIPES: list[tuple[dict[str, Any], str]] = [
    (_watch("(" * 5000), "[watch] pattern: is not a regular expression"),
    (_watch("(a{100000000000})"), "[watch] pattern: is not a regular expression"),
    (library("a", host=[f"b>={DIGITS}"]), "[requires] host #1: 'b>=999"),
    (library("a", requires={"run": [f"b>={DIGITS}"]}), "[requires] run #1: 'b>=999"),
    (library("a", requires={"run": [NESTED]}), '[requires] run #1: "b; (((('),
    (library("a", when=[{"release": f">={DIGITS}"}]), "[when #1] release: '>=999"),
    (_release(revision=10**6), "[release #1] revision: input should be less than or equal to 9999"),
    (dependent("a", build={"system": "pep517", "abi3": "cp3999999"}), "[build] abi3: 'cp3999999' is not allowed"),
    (_product(pkgconfig="../../../x"), "[products, library #1] pkgconfig: '../../../x' is not allowed"),
    (_product(pkgconfig="a\nb"), "[products, library #1] pkgconfig: 'a\\nb' is not allowed"),
    (_product(system=["m -Wl,-e,evil"]), "[products, library #1] system #1: 'm -Wl,-e,evil' is not allowed"),
    (_product(replaces=["../liba.so"]), "[products, library #1] replaces #1: '../liba.so' is not allowed"),
    (_product(exports=["*;}; local: *"]), "[products, library #1] exports #1: '*;}; local: *' is not allowed"),
    (_headers("../../etc/passwd"), "[products] headers #1: '../../etc/passwd' is not a relative path that stays"),
    (_headers("/etc/passwd"), "[products] headers #1: '/etc/passwd' is not a relative path that stays"),
    (_headers(""), "[products] headers #1: '' is not a relative path that stays"),
    (_headers("."), "[products] headers #1: '.' is no glob of files"),
    (_headers("**a"), "[products] headers #1: '**a' is no glob of files"),
    (library("a", license_files=["a\nb"]), "license_files #1: 'a\\nb' is not a relative path that stays"),
    (dependent("a", products={"imports": ["os; x"]}), "[products] imports #1: 'os; x' is not allowed"),
]


@pytest.mark.parametrize(("data", "expected"), RECIPES, ids=[text[:50] for _, text in RECIPES])
def test_what_would_mean_something_else_later_is_refused_when_it_is_read(
    data: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    said = faults(catalog(tmp_path, data))
    assert [line for line in said if line.startswith(f"recipes/a/recipe.toml: {expected}")], said


DOCUMENTS = {
    "digits": (f"format = {DIGITS}", "holds a number that does not fit into 64 bits"),
    "beyond 64 bits": (f"format = {2**63}", "holds a number that does not fit into 64 bits"),
    "below 64 bits": (f"a = [{-(2**63) - 1}]", "holds a number that does not fit into 64 bits"),
    "long key": (f"{'a.' * 400_000}a = 1", "is nested too deeply"),
    "long table": (f"[{'a .' * 300_000}a]", "is nested too deeply"),
    "keys below keys": (f"[{'a.' * 99}a]\nb = {{ {'c.' * 50}d = 1 }}", "is nested too deeply"),
    "lists": (f"a = {'[' * 150}{']' * 150}", "is nested too deeply"),
    "many lists": ("a = " + "[" * 20_000, "is nested too deeply"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_that_are_no_documents(name: str, tmp_path: Path) -> None:
    text, expected = DOCUMENTS[name]
    root = catalog(tmp_path, library("a"))
    (root / "recipes/a/recipe.toml").write_text(text)
    assert any(line.startswith(f"recipes/a/recipe.toml: {expected}") for line in faults(root)), faults(root)
    with pytest.raises(toml.TomlError, match=expected):
        toml.loads(text)


def test_all_numbers_of_64_bits_are_read() -> None:
    assert toml.loads(f"a = {2**63 - 1}\nb = [{-(2**63)}, true, 1e400]")["b"][:2] == [-(2**63), True]


def test_versions_bounds_and_requirements_of_any_length() -> None:
    """For bounds Python would complain when they are used, not when they are read."""
    for text in (DIGITS, f"1.0.{DIGITS}"):
        with pytest.raises(InvalidVersion):
            pypa.version(text)
        with pytest.raises(InvalidSpecifier):
            pypa.specifiers(f">=1,<{text}")
        with pytest.raises(InvalidRequirement):
            pypa.requirement(f"a>={text}")
    with pytest.raises(InvalidRequirement, match="nested too deeply"):
        pypa.requirement(NESTED)
    assert pypa.requirement("a[b]>=1.0; ((python_version>'3'))").extras == {"b"}
