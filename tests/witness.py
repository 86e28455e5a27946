"""The farm's command line, which writes into a log what it carries out and what it publishes; slots of its workers do
the same. Nothing of the farm is replaced: a test that kills farms reads there what they did. Arguments: log, then the
farm's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from witness_log import say

import farm.process
from farm.cascade.doing import FarmHands
from farm.cascade.hands import Deed
from farm.cli import main
from farm.model.cascade import Cascade, CascadeTask
from farm.process import Cancel
from farm.store.remote.directory import DirectoryRemote

LOG = Path(sys.argv[1])
_carry_out, _create = FarmHands.carry_out, DirectoryRemote.create


def carry_out(hands: FarmHands, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
    say(LOG, "begin", task.key, os.getpid(), task.id)
    how = "gave-up"
    try:
        deed = _carry_out(hands, cascade, task, cancel)
        how = "gave-up" if cancel.is_set else "end"
        return deed
    finally:
        say(LOG, how, task.key, os.getpid(), task.id)


def create(remote: DirectoryRemote, name: str, data: bytes) -> bool:
    made = _create(remote, name, data)
    if made and name.startswith("keys/"):
        say(LOG, "published", Path(name).stem, os.getpid())
    return made


class Told(farm.process.Child):
    """A slot is started as this script, too."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        assert tuple(argv[1:3]) == ("-m", "farm.cli")
        super().__init__([argv[0], __file__, str(LOG), *argv[3:]], env=env)


if __name__ == "__main__":
    patched: list[tuple[Any, str, Any]] = [
        (FarmHands, "carry_out", carry_out),
        (DirectoryRemote, "create", create),
        (farm.process, "Child", Told),
    ]
    for owner, name, value in patched:
        setattr(owner, name, value)
    main(sys.argv[2:])
