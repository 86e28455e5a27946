"""The matrix of the docs keeps what earlier farms found, as long as the build key is the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import matrix_records

PASSED = {"outcome": "passed", "reason": ""}


def row(key: str, state: str = "built", **verdicts: dict[str, str]) -> dict[str, Any]:
    return {"step": f"gmp/{key}", "key": key, "state": state, "phase": "", "error": "", "verdicts": verdicts}


def found_by(rows: list[dict[str, Any]], known: dict[str, Any], day: str) -> dict[str, Any]:
    merged = matrix_records.merged(rows, known)
    return {r["key"]: dict(r) for r in matrix_records.records(merged, known, day=day, commit=f"c-{day}")}


def test_what_another_farm_built_stays_until_its_key_changes(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    first = found_by([row("a", smoke=PASSED), row("b", "never")], matrix_records.load(path), "1")
    matrix_records.save(path, list(first.values()))
    second = found_by([row("a", "never"), row("b")], matrix_records.load(path), "2")
    assert {key: record["day"] for key, record in second.items()} == {"a": "1", "b": "2"}
    assert second["a"]["verdicts"] == {"smoke": PASSED}
    assert found_by([row("changed", "never")], second, "3") == {}


def test_a_new_verdict_counts_and_old_ones_stay() -> None:
    known = found_by([row("a", smoke=PASSED)], {}, "1")
    failed = {"outcome": "failed", "reason": "1 test"}
    (record,) = found_by([row("a", upstream=failed)], known, "2").values()
    assert record["verdicts"] == {"smoke": PASSED, "upstream": failed}
    assert record["day"] == "2"


def test_a_failure_here_does_not_hide_what_another_farm_built() -> None:
    known = found_by([row("a", smoke=PASSED)], {}, "1")
    (merged,) = matrix_records.merged([{**row("a", "failed"), "phase": "build", "error": "disk full"}], known)
    assert (merged["state"], merged["error"]) == ("built", "")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text('{"format": 2, "records": []}')
    with pytest.raises(SystemExit, match="format 2 is not 1"):
        matrix_records.load(path)
