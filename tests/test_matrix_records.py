"""The matrix of the docs keeps what earlier farms found, as long as the build key is the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import matrix_records

PASSED = {"outcome": "passed", "reason": ""}


def row(key: str, state: str = "built", sha256: str = "1", **verdicts: dict[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {"step": f"gmp/{key}", "key": key, "state": state, "phase": "", "error": ""}
    return {**said, "sha256": sha256 if state == "built" else None, "verdicts": verdicts}


def found_by(rows: list[dict[str, Any]], known: dict[str, Any], farm: str) -> dict[str, Any]:
    merged = matrix_records.merged(rows, known, farm=farm)
    found = {"day": f"day of {farm}", "commit": "c", "farm": farm}
    return {record["key"]: dict(record) for record in matrix_records.records(merged, known, found)}


def test_what_another_farm_built_stays_until_its_key_changes(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    first = found_by([row("a", smoke=PASSED), row("b", "never")], matrix_records.load(path), "x")
    matrix_records.save(path, list(first.values()))
    second = found_by([row("a", "never"), row("b")], matrix_records.load(path), "y")
    assert {key: record["farm"] for key, record in second.items()} == {"a": "x", "b": "y"}
    assert second["a"]["verdicts"] == {"smoke": PASSED}
    assert found_by([row("changed", "never")], second, "y") == {}


def test_a_new_verdict_counts_and_old_ones_stay() -> None:
    known = found_by([row("a", smoke=PASSED)], {}, "x")
    failed = {"outcome": "failed", "reason": "1 test"}
    (record,) = found_by([row("a", upstream=failed)], known, "x").values()
    assert record["verdicts"] == {"smoke": PASSED, "upstream": failed}


def test_a_failure_here_does_not_hide_what_another_farm_built() -> None:
    known = found_by([row("a", smoke=PASSED)], {}, "x")
    failed = {**row("a", "failed"), "phase": "build", "error": "disk full"}
    (merged,) = matrix_records.merged([failed], known, farm="y")
    assert (merged["state"], merged["error"], merged["sha256"]) == ("built", "", "1")


@pytest.mark.parametrize(("sha256", "outcome"), [("1", "passed"), ("2", "failed")])
def test_wheels_of_two_farms_are_compared(sha256: str, outcome: str) -> None:
    known = found_by([row("a")], {}, "x")
    (record,) = found_by([row("a", sha256=sha256)], known, "y").values()
    assert record["verdicts"]["reproducible"]["outcome"] == outcome
    assert "reproducible" not in found_by([row("a", sha256=sha256)], known, "x")["a"]["verdicts"]


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text('{"format": 2, "records": []}')
    with pytest.raises(SystemExit, match="format 2 is not 1"):
        matrix_records.load(path)
