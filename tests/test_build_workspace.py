"""A step's workspace: who has it, and that nobody has it for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from disks import filled, small_disk
from plans import make_step

from farm.build import finished, workspace
from farm.build.result import BuiltWheel
from farm.errors import BusyError, ProcessError
from farm.process import Cancel
from farm.settings import Settings

STEP = "tiny@1.0/manylinux_2_17_x86_64"


def on(disk: Path) -> Settings:
    return Settings(catalog=disk / "catalog", home=disk / "home", cache=disk / "cache", cores=1)


def test_a_workspace_that_a_full_disk_prevented_is_not_claimed(tmp_path: Path) -> None:
    """Else this very process would wait for itself at the next try."""
    with small_disk(tmp_path / "disk", "1M") as disk:
        at = on(disk)
        workspace.claim(at, STEP).remove()
        with filled(disk), pytest.raises(OSError, match="No space left"):
            workspace.claim(at, STEP)
        space = workspace.claim_in_turn(at, STEP, lambda: pytest.fail("it waits for nobody"))
        with pytest.raises(BusyError, match="in use"):
            workspace.claim(at, STEP)
        space.remove()


def test_a_workspace_whose_files_cannot_be_removed_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = on(tmp_path)
    space = workspace.claim(at, STEP)

    def refuse(_root: Path) -> None:
        raise PermissionError("a mount")

    with monkeypatch.context() as patch:
        patch.setattr(workspace, "remove_tree", refuse)
        with pytest.raises(PermissionError):
            space.remove()
    workspace.claim(at, STEP).remove()


def test_who_is_cancelled_when_a_finished_build_is_found_gives_it_back(tmp_path: Path) -> None:
    at, step = on(tmp_path), make_step("leaf")
    space = workspace.claim(at, step.id)
    wheel = space.out / "leaf-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    finished.note(
        step, BuiltWheel(step=step.id, wheel=wheel, source=space.baseline.source, epoch_seconds=1, workspace=space)
    )
    space.release()
    cancel = Cancel()
    cancel.set()

    def report(phase: str) -> None:
        if cancel.is_set:
            raise ProcessError("cancelled", where=phase)

    with pytest.raises(ProcessError, match="cancelled"):
        finished.again(step, at, BuiltWheel, report)
    phases: list[str] = []
    kept = finished.again(step, at, BuiltWheel, phases.append)
    assert kept is not None
    assert phases == ["kept from the last try"]
    kept.discard()
    assert not space.root.exists()
