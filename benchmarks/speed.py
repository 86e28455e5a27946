"""Speed of the result: gmpy2 and python-flint from the farm against PyPI's wheels, in turn on one core.

The figure is speed: PyPI's seconds / the farm's seconds, of the fastest round of each. Above 1 the farm is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks._environments import farm_environment, peer_environment
from benchmarks._processes import fastest
from farm.cli.output import print_json, print_table

WORKER = Path(__file__).with_name("_speed_worker.py")
PACKAGES = ("gmpy2", "python-flint")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.2, help="seconds per operation, round and side")
    parser.add_argument("--only", default="", help="only operations whose name holds this text")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pythons = {
            "farm": farm_environment(Path(scratch) / "farm", *PACKAGES),
            "peer": peer_environment(Path(scratch) / "peer", *PACKAGES),
        }
        workers = {side: (python, "-I", WORKER, args.budget, args.only) for side, python in pythons.items()}
        best = fastest(workers, rounds=args.rounds)
    ratios = {name: sides["peer"] / sides["farm"] for name, sides in best.items()}
    if args.json:
        print_json({"seconds": best, "speed_ratio": ratios})
        return 0
    rows = [[n, f"{1e6 * best[n]['farm']:.3f}", f"{1e6 * best[n]['peer']:.3f}", f"{r:.2f}"] for n, r in ratios.items()]
    print_table(["operation (size)", "farm us", "PyPI us", "speed"], rows)
    families: dict[str, list[float]] = defaultdict(list)
    for name, ratio in ratios.items():
        families[name.rsplit(" ", 1)[0]].append(ratio)
    print()
    means = [[f, f"{statistics.geometric_mean(v):.2f}", f"{min(v):.2f}"] for f, v in families.items()]
    print_table(["family", "geometric mean", "lowest"], means)
    return 0


if __name__ == "__main__":
    sys.exit(main())
