"""A disk that was full while something ran is told from one that never was."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from disks import filled, small_disk

from farm.build.commands import Runner
from farm.build.systems.base import Command
from farm.errors import BuildError, StoreError
from farm.process import Completed
from farm.store.room import is_out_of_room, room_watched


def test_a_disk_that_was_full_and_has_room_again_was_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8M") as disk:
        with room_watched(disk) as was_full:
            assert not was_full()
            with filled(disk):
                assert was_full(), "it is"
            assert not is_out_of_room(disk)
            fill(disk)
            assert was_full()
        with room_watched(disk) as was_full:
            pass
        assert not was_full()


def fill(disk: Path) -> None:
    """For long enough that a look meets it."""
    with filled(disk):
        time.sleep(1.0)


class Linker:
    """A sandbox in which a program dies, and its output with it, after the disk was full."""

    def __init__(self, disk: Path, *, fills: bool) -> None:
        self.disk, self.fills = disk, fills

    def run(self, argv: tuple[str, ...], **_options: object) -> Completed:
        if self.fills:
            filling = threading.Thread(target=fill, args=(self.disk,))
            filling.start()
            filling.join()
        return Completed(argv=argv, returncode=134, output="Aborted", seconds=1.0, cpu_seconds=1.0)


@pytest.mark.parametrize(("fills", "error"), [(True, StoreError), (False, BuildError)])
def test_a_linker_that_died_on_a_full_disk_has_said_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fills: bool, error: type[Exception]
) -> None:
    """Who filled the disk has left it when somebody looks."""
    monkeypatch.setattr("farm.build.commands.save_session", lambda *_: None)
    with small_disk(tmp_path / "disk", "8M") as disk, (tmp_path / "log").open("wb") as log:
        runner = Runner(step="x", log=log, log_path=tmp_path / "log", root=disk, report_phase=lambda _phase: None)
        command = Command(phase="link", argv=("cc",), cwd="/", env={})
        with pytest.raises(error):
            runner.run(Linker(disk, fills=fills), command)  # type: ignore[arg-type]
