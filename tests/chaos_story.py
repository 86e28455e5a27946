"""What rounds of chaos did, in numbers. Not a test module.

A round appends one line of JSON to the file that `FARM_CHAOS_ROUNDS` names. ``python tests/chaos_story.py FILE...``
sums up such files; of a seed that was tried again, the last line counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import witness_log

WHERE = "FARM_CHAOS_ROUNDS"


def recoveries(log: Path) -> list[float | None]:
    """Of each task that lost its process (killed, or stopped for longer than its lease): seconds until somebody began
    it again; None where nobody had to, as its result was already kept, or as a stopped process went on in time."""
    busy: dict[str, str] = {}
    lost: dict[str, tuple[float, str]] = {}
    found: list[float | None] = []
    for at, (word, *rest) in witness_log.timed(log):
        if word == "begin":
            key, pid, *_ = rest
            if key in lost:
                found.append(at - lost.pop(key)[0])
            busy[key] = pid
        elif word in ("end", "gave-up"):
            key, pid, *_ = rest
            if busy.get(key) == pid:
                del busy[key]
            elif word == "end" and key in lost and lost[key][1] == pid:  # it was stopped, and went on in time
                found.append(None)
                del lost[key]
        elif word in ("killing", "stopping"):
            gone = [key for key, pid in busy.items() if pid == rest[0]]
            lost |= dict.fromkeys(gone, (at, rest[0]))
            busy = {key: pid for key, pid in busy.items() if key not in gone}
    return [*found, *(None for _ in lost)]


@contextmanager
def told(seed: int, change: str, log: Path) -> Iterator[None]:
    """Write down a round, whatever it comes to, if anybody asks."""
    verdict = "failed"
    try:
        yield
        verdict = "passed"
    finally:
        if path := os.environ.get(WHERE):
            _write(Path(path), {"seed": seed, "change": change, "verdict": verdict, **_numbers(log)})


def _numbers(log: Path) -> dict[str, Any]:
    lines = witness_log.timed(log)
    words = Counter(words[0] for _, words in lines)
    return {
        "seconds": round(lines[-1][0] - lines[0][0], 1) if lines else 0.0,
        "acts": dict(Counter(words[1] for _, words in lines if words[0] == "act")),
        "killed": words["killing"],
        "stopped": words["stopping"],
        "begun": words["begin"],
        "asked_again": words["asking-again"],
        "again": [None if one is None else round(one, 1) for one in recoveries(log)],
    }


def _write(path: Path, row: dict[str, Any]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{json.dumps(row)}\n".encode())
    os.close(handle)


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over rounds."""
    acts: Counter[str] = Counter()
    for row in rows:
        acts.update(row["acts"])
    again = sorted(one for row in rows for one in row["again"] if one is not None)
    return {
        "rounds": len(rows),
        "changes": dict(Counter(row["change"] for row in rows)),
        "passed": sum(row["verdict"] == "passed" for row in rows),
        "failed": sorted(row["seed"] for row in rows if row["verdict"] != "passed"),
        "acts": dict(acts.most_common()),
        "killed": sum(row["killed"] for row in rows),
        "stopped": sum(row["stopped"] for row in rows),
        "begun": sum(row["begun"] for row in rows),
        "asked_again": sum(row["asked_again"] for row in rows),
        "tasks_begun_anew": len(again),
        "seconds_until_then": {"median": again[len(again) // 2], "worst": again[-1]} if again else {},
        "seconds": round(sum(row["seconds"] for row in rows)),
    }


def main(files: list[str]) -> None:
    """Print the sums."""
    lines = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    print(json.dumps(summed(list({row["seed"]: row for row in lines}.values())), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
