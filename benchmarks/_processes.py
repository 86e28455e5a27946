"""CPU time of whole processes, in alternating runs so that a busy machine is busy for both sides."""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from farm.process import run

Times = dict[str, dict[str, float]]
"""``{operation: {side: seconds}}``"""


def alternate(sides: Mapping[str, tuple[Sequence[object], Path | None]], *, rounds: int) -> dict[str, list[float]]:
    """CPU seconds (user + system, with children) of every side's command, `rounds` times in turn; one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (argv, cwd) in sides.items():
            done = run([str(word) for word in argv], cwd=cwd)
            if number:
                seconds[name].append(done.cpu_seconds)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in seconds.items()}


def fastest(
    workers: Mapping[str, Sequence[object]], *, rounds: int, threads: int = 1, env: Mapping[str, str] | None = None
) -> Times:
    """The fastest time of every operation, of what a command for each side prints: ``{operation: seconds}`` in JSON.

    The sides take turns on the same cores, so that a slow spell of the machine hits both.
    """
    best: Times = defaultdict(dict)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
    for _ in range(rounds):
        for side, argv in workers.items():
            command = ["taskset", "-c", cores, *(str(word) for word in argv)]
            for name, seconds in json.loads(run(command, env={**os.environ, **(env or {})}).output).items():
                best[name][side] = min(seconds, best[name].get(side, seconds))
    return best
