"""OpenBLAS: the farm's against the private copy in PyPI's numpy, in turn: products, LU, other decompositions; sizes.

The figure is speed: PyPI's seconds / the farm's seconds, of the fastest call of each. Above 1 the farm is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks._environments import farm_environment, peer_environment, site_packages
from benchmarks._processes import Times, fastest
from farm.cli.output import human_size, print_json, print_table

WORKER = Path(__file__).with_name("_blas_worker.py")
SIDES = {"farm": "native_openblas", "numpy": "numpy.libs"}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def print_speed(threads: int, best: Times) -> None:
    rows, families = [], defaultdict(list)
    for name, sides in best.items():
        ratio = sides["numpy"] / sides["farm"]
        families[name.split()[0]].append(ratio)
        rows.append([name, f"{1e3 * sides['farm']:.3f}", f"{1e3 * sides['numpy']:.3f}", f"{ratio:.3f}"])
    title = f"{threads} thread{'s' * (threads > 1)}"
    print_table([title, "farm ms", "PyPI ms", "speed"], rows)
    print()
    means = [[f, f"{statistics.geometric_mean(v):.3f}", f"{min(v):.3f}"] for f, v in families.items()]
    print_table([title, "geometric mean", "lowest"], means)
    print()


def print_sizes(sizes: dict[str, int]) -> None:
    """One user of OpenBLAS, and two: PyPI's numpy and scipy have a copy each, of the same size within 3 %."""
    ours, theirs = sizes["farm"], sizes["numpy"]
    rows = [
        [users, human_size(ours), human_size(copies * theirs), f"{ours / (copies * theirs):.2f}"]
        for users, copies in (("OpenBLAS for one user", 1), ("for two, as numpy and scipy", 2))
    ]
    print_table(["on disk", "farm", "PyPI", "farm / PyPI"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.3, help="seconds per operation, round and side")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated; default: 1 and 2")
    parser.add_argument("--only", default="", help="only operations whose name holds this text")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pythons = {
            "farm": farm_environment(Path(scratch) / "farm", "native-openblas", recipes=["openblas"]),
            "numpy": peer_environment(Path(scratch) / "peer", "numpy"),
        }
        workers = {s: (python, "-I", WORKER, s, args.budget, args.only) for s, python in pythons.items()}
        speed = {
            threads: fastest(workers, rounds=args.rounds, threads=threads, env={"OPENBLAS_NUM_THREADS": str(threads)})
            for threads in args.threads or (1, 2)
        }
        sizes = {side: size(site_packages(python) / SIDES[side]) for side, python in pythons.items()}
    if args.json:
        print_json({"seconds": speed, "bytes": sizes})
        return 0
    for threads, best in speed.items():
        print_speed(threads, best)
    print_sizes(sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
