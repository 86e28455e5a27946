"""JPEG speed: Pillow on the farm's libjpeg-turbo against PyPI's Pillow, in turn on one core, the same picture.

The figure is speed: PyPI's seconds / the farm's seconds, of the fastest call of each. Above 1 the farm is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks._environments import farm_environment, peer_environment
from farm.cli.output import print_json, print_table
from farm.process import run

WORKER = Path(__file__).with_name("_jpeg_worker.py")
GOAL = 0.98
Speeds = dict[str, dict[str, float]]  # operation, side -> MB/s


def measure(pythons: dict[str, Path], folder: Path, rounds: int, budget: float) -> tuple[Speeds, dict[str, Any]]:
    """``{operation: {side: MB/s}}`` and what each side is; the sides take turns, the second goes first every other
    time, so that a slow spell of the machine hits both."""
    fast: dict[str, dict[str, float]] = defaultdict(dict)
    about: dict[str, Any] = {}
    core = min(os.sched_getaffinity(0))
    for number in range(rounds):
        for side, python in list(pythons.items())[:: -1 if number % 2 else 1]:
            out = run(["taskset", "-c", str(core), python, "-I", WORKER, "measure", folder, str(budget)]).output
            found = json.loads(out)
            about[side] = found["about"]
            for name, (seconds, size) in found["operations"].items():
                fast[name][side] = max(size / seconds / 1e6, fast[name].get(side, 0.0))
    return fast, about


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--budget", type=float, default=0.5, help="seconds per operation, round and side")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        pythons = {
            "farm": farm_environment(Path(scratch) / "farm", "pillow"),
            "PyPI": peer_environment(Path(scratch) / "peer", "pillow"),
        }
        run([pythons["PyPI"], "-I", WORKER, "make", folder])
        fast, about = measure(pythons, folder, args.rounds, args.budget)
    ratios = {name: sides["farm"] / sides["PyPI"] for name, sides in fast.items()}
    if args.json:
        print_json({"about": about, "megabytes_per_second": fast, "speed_ratio": ratios})
        return 0
    for side, versions in about.items():
        print(f"{side}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    rows = [[n, f"{s['farm']:.0f}", f"{s['PyPI']:.0f}", f"{ratios[n]:.2f}"] for n, s in fast.items()]
    print_table(["operation", "farm MB/s", "PyPI MB/s", "speed"], rows)
    mean = statistics.geometric_mean(ratios.values())
    print(f"geometric mean {mean:.2f}, lowest {min(ratios.values()):.2f} (goal: at least {GOAL})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
