"""Start-up of the command line: `farm --help` against an empty Python, whole processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import _processes
from farm.cli.output import print_json, print_table

LIMIT = 0.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    farm = Path(sys.executable).parent / "farm"
    sides: dict[str, tuple[list[object], Path | None]] = {
        "farm --help": ([farm, "--help"], None),
        "farm plan --help": ([farm, "plan", "--help"], None),
        "python -c pass": ([sys.executable, "-c", "pass"], None),
    }
    seconds = _processes.medians(_processes.alternate(sides, rounds=args.rounds))
    if args.json:
        print_json({"cpu_seconds": seconds, "limit": LIMIT})
        return 0
    print_table(("whole process", "CPU, median"), [(name, f"{value * 1000:.1f} ms") for name, value in seconds.items()])
    print(f"farm --help takes {seconds['farm --help'] * 1000:.0f} ms (goal: below {LIMIT * 1000:.0f} ms)")
    return 0 if seconds["farm --help"] < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
