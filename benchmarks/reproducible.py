"""Is a build the same wherever it happens? One recipe, built twice for every platform: homes at other paths, of other
length, one after the other, and each build with a compiler cache of its own.

A home that exists can stand for a side (`--home`): then only what it lacks is built.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks._environments import ROOT
from farm.cli.output import print_json, print_table
from farm.process import run
from farm.wheel.compare import differences

SIDES = ("a", "second/home/of/another/length")


def wheels(recipe: str, platforms: list[str], home: Path) -> dict[str, Path]:
    """Platform -> wheel, built in `home`. A platform for which the build fails is left out, and said."""
    farm = [sys.executable, "-m", "farm.cli", "--catalog", str(ROOT), "--home", str(home)]
    words = [word for platform in platforms for word in ("--platform", platform)]
    done = run([*farm, "build", recipe, "--no-publish", "--json", *words], cwd=ROOT, check=False)
    found = {}
    for row in json.loads(done.output[done.output.index("{") :])["steps"]:
        name, platform = row["step"].partition("@")[0], row["step"].split("/")[1]
        if name != recipe:
            continue
        if row["wheel"]:
            found[platform] = home / "store" / "blobs" / row["sha256"][:2] / row["sha256"] / row["wheel"]
        else:
            print(f"  {row['step']}: {row['state']}", file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="zlib")
    parser.add_argument("--platform", action="append", metavar="P", help="tag or glob; default: all")
    parser.add_argument("--home", action="append", type=Path, default=[], help="a home instead of a fresh one")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        homes = [*args.home, *(Path(scratch) / side for side in SIDES)][:2]
        one, other = (wheels(args.recipe, args.platform or ["*"], home) for home in homes)
        found = {name: differences(one[name], other[name]) for name in sorted(one.keys() & other.keys())}
    if args.json:
        print_json({"recipe": args.recipe, "differences": found})
    else:
        rows = [[platform, "no" if what else "yes", "; ".join(what)] for platform, what in found.items()]
        print_table([args.recipe, "identical", "what differs"], rows)
    return 1 if any(found.values()) or not found else 0


if __name__ == "__main__":
    sys.exit(main())
