"""A farm process for tests that kill farms: runs a plan over `home`, one line per build in `built.log`.

Arguments: home, jobs, seconds per step, and what else a step does (``sleep``: runs a program for that time).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from plans import make_plan

from farm.model.artifact import Artifact
from farm.model.events import StepEvent
from farm.model.plan import Step
from farm.process import Cancel, run
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.workers.local import run_plan
from farm.workers.step import Reporter

PLAN = make_plan(
    {
        "gmp": (),
        "zlib": (),
        "mpfr": ("gmp",),
        "png": ("zlib",),
        "mpc": ("gmp", "mpfr"),
        "flint": ("gmp", "mpfr"),
        "tiff": ("zlib",),
    }
)


def main() -> None:
    home, jobs, seconds, mode = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    store = Store(home / "store")

    def say(text: str) -> None:
        handle = os.open(home / "built.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{text}\n".encode())
        os.close(handle)

    def step(step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report: Reporter) -> Artifact:
        report("make")
        say(f"begin {step.recipe} {os.getpid()}")
        if mode == "sleep":
            run(["sleep", str(seconds)], cancel=cancel)
        else:
            time.sleep(seconds)
        place = home / f"out-{os.getpid()}"
        place.mkdir(exist_ok=True)
        wheel = place / f"{step.recipe}-1.0-py3-none-any.whl"
        wheel.write_bytes(step.key.encode() * 2000)
        say(f"end {step.recipe} {os.getpid()}")
        artifact = store.put(step.key, wheel)
        if mode == f"die-at-{step.recipe}":
            os.kill(os.getpid(), signal.SIGKILL)
        return artifact

    def listen(event: StepEvent) -> None:
        print(event.step, event.state, event.phase, event.message, flush=True)

    url = sys.argv[5] if len(sys.argv) > 5 else f"sqlite:///{home / 'ledger.sqlite'}"
    lease = 600.0 if mode == "long-lease" else None
    result = run_plan(
        PLAN, step, store=store, ledger=lambda: Ledger.open(url), jobs=jobs, listener=listen, lease_seconds=lease
    )
    sys.exit(0 if result.ok else 1)


if __name__ == "__main__":
    main()
