"""The farm's own catalog with nothing to do, every recipe for every platform and Python: whole processes.

The store holds stand-ins for the wheels: they are looked for, not read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _processes, _synthetic
from benchmarks._environments import ROOT
from farm import catalog
from farm.cli import wanted
from farm.cli.output import print_json, print_table
from farm.process import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(Path(scratch), args.rounds)
    if args.json:
        print_json(result)
        return 0
    rows = [(name, f"{seconds:.2f} s") for name, seconds in result["cpu_seconds"].items()]
    print_table((f"{result['steps']} steps, {result['platforms']} platforms", "CPU, median"), rows)
    return 0


def measure(home: Path, rounds: int) -> dict[str, Any]:
    loaded = catalog.load_from(ROOT)
    pythons = [python.short for python in loaded.pythons.values()]
    plan = wanted.make_plan(loaded, platforms=["*"], pythons=pythons)
    steps = _synthetic.fill(plan, home / "store")
    argv = [Path(sys.executable).parent / "farm", "--catalog", ROOT, "--home", home, "plan", "--platform", "*"]
    argv += [word for python in pythons for word in ("--python", python)]
    time.sleep(2.5)  # files younger than two seconds are not trusted by the snapshot
    first = []
    for _ in range(rounds):
        done = run([str(word) for word in argv], env={"PATH": "/usr/bin:/bin", "HOME": str(home)})
        assert f"nothing to do: {steps} steps" in done.output, done.output
        first.append(done.cpu_seconds)
        for snapshot in (home / "plan").glob("*"):
            snapshot.unlink()
    again = _processes.alternate({"again": (argv, ROOT)}, rounds=rounds)
    medians = _processes.medians({"planned anew": first, "the same command again": again["again"]})
    return {"steps": steps, "platforms": len(loaded.toolchains), "cpu_seconds": medians}


if __name__ == "__main__":
    sys.exit(main())
