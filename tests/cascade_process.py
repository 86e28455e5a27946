"""A farm process for tests that kill farms: advances cascade 1 of the ledger in `home`; tells its deeds in `done.log`.

Arguments: home, jobs, seconds per task.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from farm.cascade import faults
from farm.cascade.advance import Advance
from farm.cascade.hands import Deed
from farm.model.cascade import Cascade, CascadeTask
from farm.model.outcome import Outcome
from farm.model.rework import Verb
from farm.process import Cancel
from farm.store.ledger import Ledger


class SlowHands:
    """Wheels are files named by their key; every deed takes its time and is written down when it begins and ends."""

    def __init__(self, home: Path, seconds: float) -> None:
        self.home, self.seconds = home, seconds

    def has(self, task: CascadeTask) -> bool:
        return (self.home / "wheels" / task.key).exists()

    def key_of(self, task: CascadeTask) -> str:
        return task.key

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        self.say(f"begin {task.id} {os.getpid()}")
        time.sleep(self.seconds)
        if task.verb is not Verb.TEST:
            (self.home / "wheels" / task.key).touch(exist_ok=False)
        self.say(f"end {task.id} {os.getpid()}")
        return Deed(outcome=Outcome.PASSED, seconds=self.seconds)

    def say(self, text: str) -> None:
        handle = os.open(self.home / "done.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{text}\n".encode())
        os.close(handle)


def at_once(attempts: int, *, rng: random.Random | None = None) -> float:
    return 0.0


def main() -> None:
    home, jobs, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    faults.pause = at_once
    with Ledger.open(home / "ledger.sqlite") as ledger:
        ended = Advance(ledger.cascade(1), ledger=ledger, hands=SlowHands(home, seconds), jobs=jobs).to_the_end()
    print(ended.cascade.state, ended.elsewhere)


if __name__ == "__main__":
    main()
