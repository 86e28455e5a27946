"""The matrix of `farm status`: one word for each recipe and platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from farm.cli.matrix import matrix, print_text, word


def row(
    platform: str,
    recipe: str = "gmp",
    state: str = "built",
    python: str = "",
    phase: str = "",
    error: str = "",
    verdicts: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Any]:
    found = {kind: {"outcome": outcome, "reason": reason} for kind, (outcome, reason) in (verdicts or {}).items()}
    return {
        "step": f"{recipe}@1.0/{platform}",
        "recipe": recipe,
        "version": "1.0",
        "platform": platform,
        "python": python,
        "state": state,
        "phase": phase,
        "error": error,
        "verdicts": found,
    }


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, "built"),
        ({"audit": ("passed", "")}, "built"),
        ({"audit": ("passed", ""), "smoke": ("not run", "no emulator")}, "not run"),
        ({"smoke": ("passed", ""), "upstream": ("not run", "no suite")}, "tested"),
        ({"smoke": ("passed", ""), "upstream": ("failed", "1 test")}, "tests!"),
    ],
)
def test_words(verdicts: dict[str, tuple[str, str]], expected: str) -> None:
    assert word(row("win32", verdicts=verdicts)) == expected


def test_the_longer_side_goes_down() -> None:
    wide = matrix([row("win32"), row("win_amd64"), row("win_arm64")], [])
    assert wide.table() == (
        ("platform", "gmp 1.0"),
        [("win32", "built"), ("win_amd64", "built"), ("win_arm64", "built")],
    )
    long = matrix([row("win32", "gmp"), row("win32", "mpfr")], [])
    assert long.table()[0] == ("recipe", "win32")


def impossible(recipe: str, platform: str, reason: str, python: str = "") -> dict[str, str]:
    return {"recipe": recipe, "platform": platform, "python": python, "reason": reason}


def test_impossible_pairs_are_cells_and_have_reasons() -> None:
    rows = [impossible("gmp", p, "no assembler") for p in ("win32", "win_arm64")]
    found = matrix([row("win_amd64")], [*rows, impossible("wine", "win32", "joke")])
    assert found.cells["gmp 1.0", "win32"] == found.cells["wine", "win32"] == "impossible"
    assert found.names == ("gmp 1.0", "wine")
    assert "gmp 1.0 for win32, win_arm64: impossible: no assembler" in found.reasons


def test_what_is_impossible_everywhere_is_one_row() -> None:
    found = matrix(
        [], [impossible("wine", p, "joke", python) for p in ("win32", "win_arm64") for python in ("", "cp311")]
    )
    assert found.names == ("wine", "wine cp311")
    assert set(found.cells.values()) == {"impossible"}


def test_a_recipe_may_be_impossible_for_one_python_only() -> None:
    rows = [row(platform, "gmpy2", python=python) for platform in ("win32",) for python in ("cp311", "cp313")]
    rows.append(row("win_arm64", "gmpy2", python="cp313"))
    found = matrix(rows, [impossible("gmpy2", "win_arm64", "no headers", "cp311")])
    assert found.cells["gmpy2 1.0 cp311", "win_arm64"] == "impossible"
    assert found.cells["gmpy2 1.0 cp313", "win_arm64"] == "built"
    assert found.reasons == ("gmpy2 1.0 cp311 for win_arm64: impossible: no headers",)


def test_a_reason_is_said_once() -> None:
    smoke = {"smoke": ("not run", "no machine runs macOS")}
    macs = ("macosx_11_0_arm64", "macosx_10_13_x86_64")
    rows = [row(platform, recipe, verdicts=smoke) for recipe in ("gmp", "mpfr") for platform in macs]
    found = matrix([*rows, row("win_arm64", "zlib", verdicts=smoke)], [])
    (reason,) = found.reasons
    what, _, why = reason.partition(": ")
    assert what == "gmp 1.0, mpfr 1.0 for macosx_10_13_x86_64, macosx_11_0_arm64; zlib 1.0 for win_arm64"
    assert why == "smoke not run: no machine runs macOS"


def test_a_reason_is_short_and_names_its_step_once() -> None:
    long = row("win32", state="failed", phase="make", error="gmp@1.0/win32: make failed: cc " + "-DX " * 200 + "\nlog")
    (reason,) = matrix([long], []).reasons
    assert reason.startswith("gmp 1.0 for win32: failed in make: make failed: cc -DX")
    assert reason.endswith("...")
    assert len(reason) < 300
    refused = row(
        "win32", state="failed", phase="audit", error="12 findings", verdicts={"audit": ("failed", "leaks a path")}
    )
    assert matrix([refused], []).reasons == ("gmp 1.0 for win32: audit failed: leaks a path",)


def test_a_wide_matrix_is_cut_to_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    rows = [row(f"platform_{number:02}", recipe) for number in range(9) for recipe in ("a", "b", "c") * 4]
    monkeypatch.setenv("COLUMNS", "50")
    print_text(matrix([*rows, *(row("platform_00", f"r{number}") for number in range(9))], []))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert sum(line.startswith("recipe") for line in lines) == 3
    monkeypatch.delenv("COLUMNS")
    print_text(matrix(rows, []))
    assert len(capsys.readouterr().out.splitlines()) == 1 + 9
