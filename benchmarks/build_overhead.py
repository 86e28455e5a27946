"""Cost of the farm: `farm build gmp` against `configure && make && make install`, same compiler and flags.

Both start from the downloaded tarball and a prepared compiler, each in an empty place, with all cores. The farm's side
also unpacks, patches, links, packs, audits, stores and publishes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks._environments import ROOT
from benchmarks._processes import medians
from farm import catalog, settings
from farm.build import sources, toolchain, warm
from farm.cli.output import print_json, print_table
from farm.plan.effective import merged
from farm.process import run
from farm.store.ledger import Ledger

PLATFORM = "manylinux_2_17_x86_64"
LIMIT = 1.05


class Cost(NamedTuple):
    """Seconds of one build."""

    wall: float
    cpu: float


def plain(recipe: str, scratch: Path) -> Cost:
    """What a person would type. Unpacking is not counted: the farm's side pays for its own."""
    places = settings.load(catalog=ROOT, home=scratch / "unused")
    loaded = catalog.load(places)
    tools = toolchain.materialise(loaded.toolchains[PLATFORM], places)
    values = loaded.recipes[recipe]
    release = values.recipe.current
    effective = merged(values.recipe, release, PLATFORM)
    tree = sources.prepare(
        release, effective.patches, values.directory, places.downloads, scratch / "kept", scratch / "src"
    ).tree
    cache = scratch / "compiler-cache"
    warm.copy(tools.warm, cache)
    work = scratch / "work"
    work.mkdir()
    triple = loaded.toolchains[PLATFORM].triple
    env = {
        "PATH": f"{tools.bin}:{os.environ['PATH']}",
        "HOME": str(scratch),
        "CC": "cc",
        "AR": "ar",
        "RANLIB": "ranlib",
        "CC_FOR_BUILD": "build-cc",
        "CFLAGS": "-O2",
        "FARM_CFLAGS": "\n".join(effective.build.cflags),
        "ZIG_GLOBAL_CACHE_DIR": str(cache),
        "ZIG_LOCAL_CACHE_DIR": str(cache),
        **effective.build.env,
    }
    arguments = ["--disable-shared", "--enable-static", "--with-pic", *effective.build.args]
    configure = f"{tree}/configure --host={triple} --build=x86_64-pc-linux-gnu --prefix={scratch}/prefix"
    script = f"{configure} {' '.join(arguments)} && make -j{places.cores} && make install"
    done = run(["sh", "-c", script], env=env, cwd=work)
    return Cost(wall=done.seconds, cpu=done.cpu_seconds)


def with_farm(recipe: str, scratch: Path) -> Cost:
    """Wall time of the whole process; CPU of the step as the ledger has it, which counts what ran in the sandbox."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "farm.cli",
        "--catalog",
        ROOT,
        "--home",
        scratch / "home",
        "build",
        recipe,
    ]
    wall = run(command, cwd=ROOT).seconds
    with Ledger.open(scratch / "home" / "ledger.sqlite") as ledger:
        (step,) = ledger.matching(recipe)
        attempt = ledger.last_attempt(step.key)
    assert attempt is not None
    return Cost(wall=wall, cpu=attempt.cpu_seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="gmp", help="a recipe that needs no others")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sides = {"farm build": with_farm, "configure && make": plain}
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for number in range(args.rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as scratch:
                costs[name].append(sides[name](args.recipe, Path(scratch)))
                print(f"  {name}: {costs[name][-1].wall:.0f} s, CPU {costs[name][-1].cpu:.0f} s", file=sys.stderr)
    seconds = {
        "wall": medians({name: [cost.wall for cost in found] for name, found in costs.items()}),
        "CPU": medians({name: [cost.cpu for cost in found] for name, found in costs.items()}),
    }
    ratios = {kind: found["farm build"] / found["configure && make"] for kind, found in seconds.items()}
    if args.json:
        print_json({"recipe": args.recipe, "seconds": seconds, "farm_to_plain": ratios})
        return 0
    rows = [
        [kind, f"{found['farm build']:.1f}", f"{found['configure && make']:.1f}", f"{ratios[kind]:.2f}"]
        for kind, found in seconds.items()
    ]
    print_table([f"seconds to build {args.recipe}", *sides, "farm / plain"], rows)
    print(f"goal: at most {LIMIT}")
    return 0 if ratios["CPU"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
