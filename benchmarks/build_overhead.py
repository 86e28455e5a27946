"""Cost of the farm: `farm build gmp` against `configure && make && make install`, same compiler and flags.

Both start from the downloaded tarball and a prepared compiler, each in an empty place, with all cores. The farm's side
also unpacks, patches, links, packs, audits, stores and publishes. Wall time only: the kernel does not account to the
farm what ran in the sandbox's process namespace.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks._processes import medians
from farm import catalog, settings
from farm.build import sources, toolchain
from farm.cli.output import print_json, print_table
from farm.plan.effective import merged
from farm.process import Completed, run

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = "manylinux_2_17_x86_64"


def plain(recipe: str, scratch: Path) -> Completed:
    """What a person would type. Unpacking is not counted: the farm's side pays for its own."""
    places = settings.load(catalog=ROOT, home=scratch / "unused")
    loaded = catalog.load(places)
    tools = toolchain.materialise(loaded.toolchains[PLATFORM], places)
    values = loaded.recipes[recipe]
    release = values.recipe.current
    effective = merged(values.recipe, release, PLATFORM)
    tree = sources.prepare(release, effective.patches, values.directory, places.downloads, scratch / "src").tree
    cache = scratch / "compiler-cache"
    toolchain.copy_warm(tools, cache)
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
    return run(["sh", "-c", script], env=env, cwd=work)


def with_farm(recipe: str, scratch: Path) -> Completed:
    command = [sys.executable, "-m", "farm.cli", "--catalog", ROOT, "--home", scratch / "home", "build", recipe]
    return run(command, cwd=ROOT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="gmp", help="a recipe that needs no others")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sides = {"farm": with_farm, "plain": plain}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, measure in sides.items():
            with tempfile.TemporaryDirectory() as scratch:
                seconds[name].append(measure(args.recipe, Path(scratch)).seconds)
                print(f"  {name}: {seconds[name][-1]:.0f} s", file=sys.stderr)
    walls = medians(seconds)
    ratio = walls["farm"] / walls["plain"]
    if args.json:
        print_json({"wall_seconds": walls, "farm_to_plain": ratio})
        return 0
    rows = [[args.recipe, f"{walls['farm']:.1f}", f"{walls['plain']:.1f}", f"{ratio:.2f}"]]
    print_table(["wall seconds to build", "farm build", "configure && make", "farm / plain"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
