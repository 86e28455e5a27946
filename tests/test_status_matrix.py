"""The matrix of `farm status`: one word for each recipe and platform."""

from __future__ import annotations

from typing import Any

import pytest

from farm.cli.matrix import matrix, word


def row(platform: str, recipe: str = "gmp", state: str = "built", **verdicts: tuple[str, str]) -> dict[str, Any]:
    found = {kind: {"outcome": outcome, "reason": reason} for kind, (outcome, reason) in verdicts.items()}
    return {
        "step": f"{recipe}@1.0/{platform}",
        "recipe": recipe,
        "version": "1.0",
        "platform": platform,
        "python": "",
        "state": state,
        "phase": "",
        "error": "",
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
    assert word(row("win32", **verdicts)) == expected


def test_the_longer_side_goes_down() -> None:
    wide = matrix([row("win32"), row("win_amd64"), row("win_arm64")], [])
    assert wide.table() == (
        ("platform", "gmp 1.0"),
        [("win32", "built"), ("win_amd64", "built"), ("win_arm64", "built")],
    )
    long = matrix([row("win32", "gmp"), row("win32", "mpfr")], [])
    assert long.table()[0] == ("recipe", "win32")


def test_impossible_pairs_are_cells_and_have_reasons() -> None:
    rows = [{"recipe": "gmp", "platform": p, "reason": "no assembler"} for p in ("win32", "win_arm64")]
    found = matrix([row("win_amd64")], [*rows, {"recipe": "wine", "platform": "win32", "reason": "joke"}])
    assert found.cells["gmp 1.0", "win32"] == found.cells["wine", "win32"] == "impossible"
    assert found.names == ("gmp 1.0", "wine")
    assert "gmp for win32, gmp for win_arm64: impossible: no assembler" in found.reasons


def test_a_reason_is_said_once() -> None:
    smoke = ("not run", "no machine runs macOS")
    found = matrix([row("macosx_11_0_arm64", smoke=smoke), row("macosx_10_13_x86_64", smoke=smoke)], [])
    assert found.reasons == (
        "gmp@1.0/macosx_11_0_arm64, gmp@1.0/macosx_10_13_x86_64: smoke not run: no machine runs macOS",
    )
