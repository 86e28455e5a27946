"""The numbers that rounds of chaos are summed up by."""

from __future__ import annotations

import json
from pathlib import Path

import chaos_story
import pytest

KILLED = ["1.0 begin k 7 build x", "2.5 killing 7", "4.0 begin k 8 build x", "5.0 end k 8 build x"]
WENT_ON = ["1.0 begin k 7 test x", "2.0 stopping 7", "3.0 end k 7 test x", "9.0 begin k 8 test x"]
TAKEN_OVER = ["1.0 begin k 7 test x", "2.0 stopping 7", "8.0 begin k 8 test x", "9.0 gave-up k 7 test x"]
LATE = ["1.0 begin k 7 test x", "2.0 stopping 7", "8.0 gave-up k 7 test x", "9.5 begin k 7 test x"]
IDLE = ["1.0 killing 7", "2.0 begin k 8 build x", "3.0 end k 8 build x"]
STORED = ["1.0 begin k 7 build x", "2.0 published k 7", "2.5 killing 7"]


@pytest.mark.parametrize(
    ("lines", "again"),
    [(KILLED, [1.5]), (WENT_ON, [None]), (TAKEN_OVER, [6.0]), (LATE, [7.5]), (IDLE, []), (STORED, [None])],
)
def test_a_task_that_lost_its_process_is_begun_again(tmp_path: Path, lines: list[str], again: list[float]) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    assert chaos_story.recoveries(log) == again


def test_a_round_is_one_line_whatever_it_comes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, rounds = tmp_path / "log", tmp_path / "rounds"
    log.write_text("\n".join(["0.5 act kill_slot", *KILLED]))
    monkeypatch.setenv(chaos_story.WHERE, str(rounds))
    with pytest.raises(AssertionError), chaos_story.told(3, "wrong", log):
        raise AssertionError
    with chaos_story.told(4, "wrong", log):
        pass
    rows = [json.loads(line) for line in rounds.read_text().splitlines()]
    assert [(row["seed"], row["verdict"]) for row in rows] == [(3, "failed"), (4, "passed")]
    summed = chaos_story.summed(rows)
    assert (summed["rounds"], summed["failed"], summed["acts"]) == (2, [3], {"kill_slot": 2})
    assert summed["seconds_until_then"] == {"median": 1.5, "worst": 1.5}
