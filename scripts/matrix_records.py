"""What earlier farms came to: `docs/matrix.json`, one record for each build key.

A build key is a hash of everything that a wheel depends on, so what one farm found under a key holds for every other
that plans the same key. A record is a row of `farm status --json` with the day and the commit of the farm that found
it. Records of keys that nobody plans any more are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_KEPT = ("step", "key", "state", "verdicts")
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


def merged(rows: Sequence[Row], known: Mapping[str, Row]) -> list[Row]:
    """`rows` of today's plan; what this farm's store does not hold is as its record says, if there is one."""
    return [_merge(row, known.get(row["key"])) for row in rows]


def records(rows: Sequence[Row], known: Mapping[str, Row], *, day: str, commit: str) -> list[Row]:
    """The records of what is built among merged `rows`. What this farm found is new: it has today's `day`, `commit`."""
    return [_record(row, known.get(row["key"]), {"day": day, "commit": commit}) for row in rows if _is_built(row)]


def _merge(row: Row, record: Row | None) -> Row:
    if record is None:
        return row
    if not _is_built(row):
        return {**row, "state": record["state"], "verdicts": record["verdicts"], "phase": "", "error": ""}
    return {**row, "verdicts": {**record["verdicts"], **row["verdicts"]}}


def _record(row: Row, old: Row | None, found: Row) -> Row:
    record = {name: row[name] for name in _KEPT}
    if old is not None and all(old[name] == record[name] for name in _KEPT):
        return old
    return {**record, **found}


def _is_built(row: Row) -> bool:
    return bool(row["state"] == "built")
