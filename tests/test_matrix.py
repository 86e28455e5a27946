"""The whole matrix: every recipe for every platform and every Python of `toolchains/pythons/`. Hours from nothing.

It is built into FARM_HOME (default: `.farm` here) and goes on there: what is built and tested already is not repeated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from small_farm import ROOT

from farm.catalog import Catalog
from farm.plan.effective import impossible

pytestmark = pytest.mark.slow
HOME = Path(os.environ["FARM_TEST_HOME"]).resolve()

ALLOWED_NOT_RUN = (
    ("macosx_*", "", "inspected only"),
    ("win_arm64", "", "inspected only"),
)
"""Platform, kind of recipe (empty: any), and what the reason says: the cells that this machine may leave untested."""

SUITES = (
    ("gmpy2", "manylinux_2_17_aarch64"),
    ("gmpy2", "manylinux_2_17_ppc64le"),
    ("numpy", "manylinux_2_17_x86_64"),
    ("numpy", "manylinux_2_17_aarch64"),
    ("pillow", "manylinux_2_17_x86_64"),
    ("pillow", "manylinux_2_17_aarch64"),
)
"""Where upstream's own tests run, too, with CPython 3.13. Those of gmpy2 and python-flint for x86-64 are
compared with PyPI's wheels in test_real_libraries."""


def farm(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farm.cli", "--catalog", str(ROOT), "--home", str(HOME), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def everything(real: Catalog) -> tuple[str, ...]:
    """The arguments that ask for all of it."""
    pythons = [word for python in real.pythons.values() for word in ("--python", python.short)]
    return ("--platform", "*", *pythons)


@pytest.fixture(scope="module")
def status(real: Catalog, everything: tuple[str, ...]) -> dict[str, Any]:
    """`farm status --json` after all that could be built was, and after every wheel without a verdict was tested."""
    built = farm("build", *everything, "--json")
    before = json.loads(farm("status", *everything, "--json").stdout)
    untested: dict[tuple[str, str], list[str]] = {}
    for row in before["steps"]:
        if row["state"] == "built" and "smoke" not in row["verdicts"]:
            untested.setdefault((row["platform"], row["python"] or ""), []).append(row["recipe"])
    for (platform, python), recipes in untested.items():
        chosen = ("--python", real.pythons[python].short) if python else ()
        farm("test", *recipes, "--platform", platform, *chosen, "--json")
    after: dict[str, Any] = json.loads(farm("status", *everything, "--json").stdout)
    after["built"] = built
    return after


def test_every_recipe_has_a_cell_for_every_platform_and_python(real: Catalog, status: dict[str, Any]) -> None:
    cells = {(row["recipe"], row["platform"], row["python"] or "") for row in status["steps"]}
    never = {(row["recipe"], row["platform"], row["python"]) for row in status["impossible"]}
    for name, found in real.recipes.items():
        stable = found.recipe.build.abi3
        pythons = [stable] if stable else list(real.pythons) if found.recipe.kind == "dependent" else [""]
        for platform in real.toolchains:
            for python in pythons:
                wanted = (name, platform, python)
                assert (wanted in cells) != (wanted in never or (name, platform, "") in never), wanted


def test_every_cell_is_built_and_tested_or_has_an_allowed_reason(real: Catalog, status: dict[str, Any]) -> None:
    wrong = {row["step"]: why for row in status["steps"] if (why := _fault(real, row))}
    assert not wrong, json.dumps(wrong, indent=1)
    assert status["built"].returncode == 0, status["built"].stderr[-3000:]


def _fault(real: Catalog, row: Mapping[str, Any]) -> str:
    """What is wrong with a cell; nothing if all is well."""
    if row["state"] != "built":
        return f"{row['state']} {row['error']}"
    failed = [f"{kind} failed: {v['reason']}" for kind, v in row["verdicts"].items() if v["outcome"] == "failed"]
    if failed:
        return "; ".join(failed)
    smoke = row["verdicts"].get("smoke", {"outcome": "never tried", "reason": ""})
    if smoke["outcome"] == "passed":
        return ""
    kind = real.recipes[row["recipe"]].recipe.kind
    allowed = any(
        fnmatchcase(row["platform"], platform) and of in ("", kind) and text in smoke["reason"]
        for platform, of, text in ALLOWED_NOT_RUN
    )
    return "" if smoke["outcome"] == "not run" and allowed else f"smoke {smoke['outcome']}: {smoke['reason']}"


@pytest.mark.parametrize(("recipe", "platform"), SUITES)
def test_upstream_suites(recipe: str, platform: str, status: dict[str, Any]) -> None:
    (row,) = [r for r in status["steps"] if (r["recipe"], r["platform"], r["python"]) == (recipe, platform, "cp313")]
    if "upstream" not in row["verdicts"]:
        done = farm("test", recipe, "--platform", platform, "--python", "3.13", "--suite", "upstream", "--json")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return
    assert row["verdicts"]["upstream"]["outcome"] == "passed", row["verdicts"]["upstream"]["reason"]


def test_what_is_impossible_is_so_by_its_recipe_or_its_python(real: Catalog, status: dict[str, Any]) -> None:
    for row in status["impossible"]:
        own = impossible(real.recipes[row["recipe"]].recipe, row["platform"])
        python = real.pythons.get(row["python"])
        lacks_python = python is not None and python.headers_for(row["platform"]) is None
        assert row["reason"]
        assert row["reason"] == own or row["reason"].startswith("requires ") or lacks_python, row


def test_a_second_build_of_everything_finds_everything(everything: tuple[str, ...], status: dict[str, Any]) -> None:
    """How long that takes is in docs/measurements.md."""
    done = farm("build", *everything, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {row["state"] for row in json.loads(done.stdout)["steps"]} == {"cached"}
    assert f"nothing to do: {len(status['steps'])} steps" in farm("plan", *everything).stdout
