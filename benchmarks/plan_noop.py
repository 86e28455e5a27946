"""Planning with nothing to do: `farm plan` on 10,000 steps against ninja on 10,000 edges, whole processes."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _processes, _synthetic
from farm.cli.output import print_json, print_table
from farm.process import run

LIMIT = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--platforms", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(Path(scratch), args.recipes, args.platforms, args.rounds)
    if args.json:
        print_json(result)
        return 0
    rows = [(name, f"{value * 1000:.1f} ms") for name, value in result["cpu_seconds"].items()]
    print_table(("whole process", "CPU, median"), rows)
    print(f"{result['steps']} steps; farm plan / ninja = {result['ratio']:.2f} (goal: at most {LIMIT})")
    return 0 if result["ratio"] <= LIMIT else 1


def measure(scratch: Path, recipes: int, platforms: int, rounds: int) -> dict[str, Any]:
    root, edges = scratch / "catalog", scratch / "ninja"
    _synthetic.write(root, recipes=recipes, platforms=platforms)
    steps = _synthetic.fill_store(root, root / ".farm" / "store")
    _synthetic.write_ninja(edges, steps)
    bin_dir = Path(sys.executable).parent
    ninja = shutil.which("ninja") or "ninja"  # scripts/apt-packages.txt
    farm = [bin_dir / "farm", "plan", "--platform", "*"]
    run([ninja], cwd=edges)
    time.sleep(2.5)  # files younger than two seconds are not trusted by the snapshot
    first = run([str(word) for word in farm], cwd=root)
    assert f"nothing to do: {steps} steps" in first.output, first.output
    sides: dict[str, tuple[list[object], Path | None]] = {
        "farm plan, nothing to do": (farm, root),
        "ninja, nothing to do": ([ninja], edges),
        "python -c pass": ([sys.executable, "-c", "pass"], root),
    }
    seconds = _processes.medians(_processes.alternate(sides, rounds=rounds))
    seconds["farm plan, without a snapshot"] = first.cpu_seconds
    names = list(sides)
    return {"steps": steps, "cpu_seconds": seconds, "ratio": seconds[names[0]] / seconds[names[1]]}


if __name__ == "__main__":
    sys.exit(main())
