"""A real library for every platform, from its source to a program that runs: zlib, by the command line alone.

What no runner here can run is `not run`, with a reason; `test_only_these_do_not_run_here` holds the list.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from small_farm import ROOT, farm

from farm.catalog import Catalog

NEEDS_ANOTHER_MACHINE = {"inspect"}
"""Kinds of runners that say of themselves that nothing here runs such programs."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("everywhere") / "home"


def verb(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return farm(ROOT, *words, "--platform", "*", "--json", home=home)


@pytest.fixture(scope="module")
def steps(home: Path) -> dict[str, dict[str, Any]]:
    """Platform -> row of `farm build`."""
    done = verb(home, "build", "zlib")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {row["step"].rpartition("/")[2]: row for row in json.loads(done.stdout)["steps"]}


@pytest.fixture(scope="module")
def tests(home: Path, steps: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Platform -> result of `farm test`."""
    done = verb(home, "test", "zlib")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {row["step"].rpartition("/")[2]: row for row in json.loads(done.stdout)["results"]}


def test_it_is_built_for_every_platform(real: Catalog, steps: dict[str, dict[str, Any]]) -> None:
    assert steps.keys() == real.toolchains.keys()
    assert {row["state"] for row in steps.values()} == {"built"}
    assert {row["wheel"].rpartition("-")[2] for row in steps.values()} == {f"{tag}.whl" for tag in real.toolchains}


def test_its_program_runs_on_every_runner(real: Catalog, tests: dict[str, dict[str, Any]]) -> None:
    for platform, toolchain in real.toolchains.items():
        row = tests[platform]
        if toolchain.run.kind not in NEEDS_ANOTHER_MACHINE:
            assert row["outcome"] == "passed", f"{platform}: {row['outcome']}: {row['reason']}\n{row['output']}"


def test_only_these_do_not_run_here(tests: dict[str, dict[str, Any]]) -> None:
    rest = {platform: row["reason"] for platform, row in tests.items() if row["outcome"] != "passed"}
    assert rest.keys() == {"macosx_10_13_x86_64", "macosx_11_0_arm64", "win_arm64"}
    assert all(rest.values())


def test_the_matrix_says_so(home: Path, tests: dict[str, dict[str, Any]]) -> None:
    done = farm(ROOT, "status", "zlib", "--markdown", home=home)
    for platform, row in tests.items():
        word = "tested" if row["outcome"] == "passed" else "not run"
        assert f"| {platform} | {word} |" in done.stdout
        assert row["outcome"] == "passed" or row["reason"] in done.stdout


def test_a_second_build_has_nothing_to_do(home: Path, tests: dict[str, dict[str, Any]]) -> None:
    rows = json.loads(verb(home, "build", "zlib").stdout)["steps"]
    assert {row["state"] for row in rows} == {"cached"}
