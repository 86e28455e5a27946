"""What people see while a plan runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from farm.cli.progress import LiveProgress, PlainProgress
from farm.model.events import State, StepEvent


def test_plain_lines_tell_phases_waits_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    show = PlainProgress(3)
    show(StepEvent(step="a", state=State.CACHED))
    show(StepEvent(step="b", state=State.WAITING, message="waiting for process 7, which is building this"))
    show(StepEvent(step="b", state=State.RUNNING, phase="make"))
    show(StepEvent(step="b", state=State.BUILT, seconds=61))
    show(StepEvent(step="c", state=State.FAILED, seconds=2, message="exit code 2"))
    assert capsys.readouterr().out.splitlines() == [
        "  b: waiting for process 7, which is building this",
        "  b: make",
        "[2/3] b built in 1m01s",
        "[3/3] c FAILED in 2.0 s: exit code 2",
    ]


def test_a_step_outlives_whoever_read_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Left())
    PlainProgress(1)(StepEvent(step="b", state=State.RUNNING, phase="make"))


def test_a_terminal_shows_each_running_step_with_its_phase() -> None:
    show = LiveProgress(2)
    show(StepEvent(step="gmp", state=State.RUNNING, phase="configure"))
    show(StepEvent(step="mpfr", state=State.WAITING, message="waiting for process 7"))
    out = io.StringIO()
    Console(file=out, width=100).print(show)
    assert "gmp" in out.getvalue()
    assert "configure" in out.getvalue()
    assert "waiting for process 7" in out.getvalue()
    assert "0/2 steps done" in out.getvalue()
