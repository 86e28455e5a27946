"""What to show of a step that failed, and where to look closer."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

from farm.errors import BuildError, FleetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farm.workers.result import RunResult, StepOutcome

TAIL_LINES = 20


def explain_all(result: RunResult, *, fleet: str = "") -> None:
    """What failed in a run, each step by itself; `fleet` are the options by which a fleet was asked."""
    from farm.model.events import State

    for outcome in result.having(State.FAILED):
        explain(outcome, fleet=fleet)


def explain(outcome: StepOutcome, *, fleet: str = "") -> None:
    """What failed, the end of its log, and how to look closer. Of what a worker refused there is nothing to look at."""
    said = str(outcome.message or outcome.error).removeprefix(f"{outcome.step}: ")
    show = [f"\n{outcome.step} failed: {said}"]
    tail = _tail(outcome)
    if tail:
        what = f"last {len(tail)} lines of its log:" if len(tail) > 1 else "last line of its log:"
        show += [what, *(f"  | {line}" for line in tail)]
    recipe = outcome.step.partition("@")[0]
    platform = outcome.step.split("/")[1]
    if outcome.log is not None:
        show.append(f"log:     {outcome.log}")
    if not isinstance(outcome.error, FleetError):
        elsewhere = " (on the worker's machine)" if fleet and outcome.log is None else ""
        show.append(f"inside:  farm shell {outcome.step}{elsewhere}")
    show.append(f"again:   farm build {recipe} --platform {platform}{fleet}")
    print("\n".join(show), file=sys.stderr)


def _tail(outcome: StepOutcome) -> Sequence[str]:
    if isinstance(outcome.error, BuildError) and outcome.error.tail:
        return outcome.error.tail[-TAIL_LINES:]
    if outcome.log is None or not outcome.log.exists():
        return ()
    with outcome.log.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=TAIL_LINES)]
