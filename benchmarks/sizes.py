"""The whole stack: gmpy2, python-flint, numpy, SciPy and Pillow of the farm, with their native wheels, against PyPI's
wheels of the same versions. What the farm has no recipe for, or cannot build for this Python, is left out on both sides
and named.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.specifiers import SpecifierSet

from benchmarks._environments import ROOT, farm_environment, peer_environment, version_of
from farm import catalog
from farm.cli.output import human_size, print_json, print_table
from farm.process import run

WORKER = Path(__file__).with_name("_sizes_worker.py")
STACK = {
    "gmpy2": "gmpy2",
    "python-flint": "flint",
    "numpy": "numpy.linalg",
    "scipy": "scipy.linalg",
    "pillow": "PIL.Image",
}
"""Package -> what is imported of it; PIL.Image is followed by the module that holds the codecs."""
MORE = ("PIL._imaging",)


def available(where: Path, base: str, names: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The environment with all of the stack that the farm has, and why it has not the rest."""
    recipes = catalog.load_from(ROOT).recipes
    lacking = {name: "the farm has no recipe" for name in names if name not in recipes}
    version = version_of(base)
    for name in recipes.keys() & set(names):
        bound = recipes[name].recipe.requires.pythons
        if bound and version not in SpecifierSet(bound):
            lacking[name] = f"is for Python {bound}, this is {version} (--python)"
    python = where / "bin" / "python"
    for name in names:
        if name not in lacking:
            try:
                python = farm_environment(where, name, base=base)
            except SystemExit as error:
                lacking[name] = str(error)
    return {"farm": python}, lacking


def versions(names: list[str]) -> list[str]:
    """The farm's newest releases, as requirements."""
    recipes = catalog.load_from(ROOT).recipes
    return [f"{name}=={recipes[name].recipe.release[-1].version}" for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure with")
    parser.add_argument("package", nargs="*", help=f"only these; default: {' '.join(STACK)}")
    args = parser.parse_args()
    if odd := [name for name in args.package if name not in STACK]:
        parser.error(f"{odd[0]} is not measured here: {' '.join(STACK)}")
    with tempfile.TemporaryDirectory() as scratch:
        names = args.package or list(STACK)
        sides, lacking = available(Path(scratch) / "farm", args.python, names)
        measured = [name for name in names if name not in lacking]
        sides["PyPI"] = peer_environment(Path(scratch) / "peer", *versions(measured), base=args.python)
        modules = [STACK[name] for name in measured] + [m for m in MORE if "pillow" in measured]
        facts = {side: json.loads(run([p, "-I", WORKER, *modules]).output) for side, p in sides.items()}
    if args.json:
        print_json({**facts, "not_measured": lacking})
        return 0
    _print_disk(facts["farm"]["disk"], facts["PyPI"]["disk"])
    print()
    _print_mapped(facts["farm"]["mapped"], facts["PyPI"]["mapped"])
    print()
    rows = [(name, *(human_size(facts[side][name]) for side in ("farm", "PyPI"))) for name in ("Rss", "Pss")]
    print_table(["memory after importing all", "farm", "PyPI"], rows)
    for name, why in lacking.items():
        print(f"not measured: {name}: {why}")
    return 0


def _print_disk(farm: dict[str, dict[str, int]], peer: dict[str, dict[str, int]]) -> None:
    def size(side: dict[str, dict[str, int]], name: str) -> str:
        return human_size(side[name]["all"]) if name in side else "-"

    rows = [[name, size(farm, name), size(peer, name), ""] for name in sorted({*farm, *peer})]
    ours, theirs = (sum(sizes["all"] for sizes in side.values()) for side in (farm, peer))
    variants = sum(sizes["variants"] for sizes in farm.values())
    rows.append(["all", human_size(ours), human_size(theirs), f"{ours / theirs:.2f}"])
    less = ours - variants
    rows.append(
        ["all without builds for newer processors", human_size(less), human_size(theirs), f"{less / theirs:.2f}"]
    )
    print_table(["on disk", "farm", "PyPI", "farm / PyPI"], rows)


def _print_mapped(farm: dict[str, list[str]], peer: dict[str, list[str]]) -> None:
    names = sorted({*farm, *peer})
    rows = [[name, str(len(farm.get(name, ()))), str(len(peer.get(name, ())))] for name in names]
    totals = [str(sum(map(len, side.values()))) for side in (farm, peer)]
    print_table(["copies mapped", "farm", "PyPI"], [*rows, ["all", *totals]])


if __name__ == "__main__":
    sys.exit(main())
