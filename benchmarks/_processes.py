"""CPU time of whole processes, in alternating runs so that a busy machine is busy for both sides."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from farm.process import run


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
