"""What `farm build` says of a step that failed elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from farm.cli import failure, fleet_options
from farm.errors import BuildError, FarmError, FleetError
from farm.model.events import State
from farm.workers.result import StepOutcome

STEP = "zlib@1.3.2/win32"
AGAIN = "again:   farm build zlib --platform win32"


def _said(capsys: pytest.CaptureFixture[str], error: FarmError, fleet: str, log: Path | None = None) -> list[str]:
    outcome = StepOutcome(step=STEP, state=State.FAILED, error=error, message=str(error), log=log)
    failure.explain(outcome, fleet=fleet)
    return capsys.readouterr().err.splitlines()


def test_what_failed_on_a_worker_is_asked_for_there_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    args = argparse.Namespace(broker="redis://farm.example:6379/0", pull_requests=False)
    lines = _said(capsys, BuildError("make failed"), fleet_options.again(args))
    assert lines[-2:] == [
        f"inside:  farm shell {STEP} (on the worker's machine)",
        f"{AGAIN} --broker redis://farm.example:6379/0",
    ]
    log = tmp_path / "log"
    log.write_text("cc: error\n")
    args = argparse.Namespace(broker="rediss://me:hidden@farm.example/0", pull_requests=True)
    lines = _said(capsys, BuildError("make failed"), fleet_options.again(args), log)  # the worker has our home
    assert lines[-2:] == [f"inside:  farm shell {STEP}", f"{AGAIN} --broker env --pull-requests --no-publish"]


def test_a_worker_that_refused_has_nothing_to_look_into(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(broker="env", pull_requests=False)
    lines = _said(capsys, FleetError("is signed by nobody"), fleet_options.again(args))
    assert not any(line.startswith("inside:") for line in lines)
    assert lines[-1] == f"{AGAIN} --broker env"


def test_on_one_machine_nothing_is_said_of_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(broker=None, pull_requests=False)
    lines = _said(capsys, BuildError("make failed"), fleet_options.again(args))
    assert lines[-2:] == [f"inside:  farm shell {STEP}", AGAIN]
