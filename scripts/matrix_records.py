"""What earlier farms came to: `docs/matrix.json`, one record for each build key.

A build key is a hash of everything that a wheel depends on, so what one farm found under a key holds for every other
that plans the same key. A record is a row of `farm status --json` with the run that found it: day, commit and farm.
Records of keys that nobody plans any more are dropped. Where this farm and an earlier one have built the same key,
their wheels are compared by hash: that is a verdict on reproducibility, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from farm.cli.history import REPRODUCIBLE

Row = Mapping[str, Any]
_KEPT = ("step", "key", "state", "sha256", "verdicts")
_FORMAT = 1


def load(path: Path) -> dict[str, Row]:
    """The records of a file by build key; none if there is no file."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text("utf-8"))
    if document.get("format") != _FORMAT:
        raise SystemExit(f"{path}: format {document.get('format')!r} is not {_FORMAT}; remove the file")
    return {record["key"]: record for record in document["records"]}


def save(path: Path, records: Sequence[Row]) -> None:
    """Write a file of records, whole or not at all."""
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in sorted(records, key=lambda r: str(r["step"])))
    part = path.with_suffix(".part")
    part.write_text(f'{{"format": {_FORMAT}, "records": [\n{lines}\n]}}\n', "utf-8")
    part.replace(path)


def merged(rows: Sequence[Row], known: Mapping[str, Row], *, farm: str) -> list[Row]:
    """`rows` of today's plan; what the store of `farm` does not hold is as its record says, if there is one."""
    return [_merge(row, known.get(row["key"]), farm) for row in rows]


def records(rows: Sequence[Row], known: Mapping[str, Row], found: Mapping[str, str]) -> list[Row]:
    """The records of what is built among merged `rows`. What is new since `known` is of the run `found`: its `day`,
    `commit` and `farm`."""
    return [_record(row, known.get(row["key"]), found) for row in rows if _is_built(row)]


def _merge(row: Row, record: Row | None, farm: str) -> Row:
    if record is None:
        return row
    if not _is_built(row):
        return {**row, "phase": "", "error": "", **{name: record[name] for name in ("state", "sha256", "verdicts")}}
    return {**row, "verdicts": {**record["verdicts"], **_compared(row, record, farm), **row["verdicts"]}}


def _compared(row: Row, record: Row, farm: str) -> dict[str, Any]:
    """What the wheels of two farms say; nothing if it is one farm, or if the earlier one did not say its hash."""
    if not record["sha256"] or record["farm"] == farm:
        return {}
    if record["sha256"] == row["sha256"]:
        return {REPRODUCIBLE: {"outcome": "passed", "reason": ""}}
    return {REPRODUCIBLE: {"outcome": "failed", "reason": f"another farm's, of {record['day']}, has another sha256"}}


def _record(row: Row, old: Row | None, found: Mapping[str, str]) -> Row:
    record = {name: row[name] for name in _KEPT}
    if old is not None and all(old[name] == record[name] for name in _KEPT):
        return old
    return {**record, **found}


def _is_built(row: Row) -> bool:
    return bool(row["state"] == "built")
