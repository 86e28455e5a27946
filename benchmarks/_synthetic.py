"""A made-up catalog with everything already built: what planning benchmarks plan."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from farm import catalog
from farm.model.plan import Plan
from farm.plan import planner
from farm.plan.values import Wanted

_SHA = "0123456789abcdef" * 4

_TOOLCHAIN = """format = 1
platform = "{tag}"
os = "linux"
arch = "x86_64"
libc = "glibc"
floor = [2, {minor}]
binary = "elf"
triple = "x86_64-linux-gnu"
isa = "x86-64"
system_libraries = ["libc.so.6", "libm.so.6"]
loader = "/lib64/ld-linux-x86-64.so.2"
python_platform = "linux-x86_64"
[compiler]
kind = "zig"
version = "0.17.0"
distribution = "ziglang"
sha256 = {{ x86_64 = "{sha}" }}
target = "x86_64-linux-gnu.2.{minor}"
[cmake]
system_name = "Linux"
system_processor = "x86_64"
[meson]
system = "linux"
cpu_family = "x86_64"
cpu = "x86_64"
[run]
kind = "native"
"""

_RECIPE = """format = 1
name = "{name}"
kind = "library"
summary = "library {name}"
license = "MIT"
license_files = ["COPYING"]
homepage = "https://example.org/{name}"
abi = {{ epoch = 1 }}
requires = {{ host = {host} }}
build = {{ system = "autotools", args = ["--disable-shared", "--with-pic"] }}
[[release]]
version = "1.{number}"
source = [{{ location = [{{ url = "debian:{name}.tar.xz", sha256 = "{sha}" }}] }}]
[[products.library]]
name = "{name}"
archive = "lib/lib{name}.a"
exports = ["{name}_*"]
"""


def toolchain_text(tag: str) -> str:
    """A toolchain file for ``manylinux_2_<minor>_x86_64``."""
    return _TOOLCHAIN.format(tag=tag, minor=tag.split("_")[2], sha=_SHA)


def recipe_text(number: int, hosts: list[str]) -> str:
    """The recipe file of one library that is linked to others."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return _RECIPE.format(name=f"lib{number:05d}", number=number, host=json.dumps(hosts), sha=sha256)


def write(root: Path, *, recipes: int, platforms: int) -> None:
    """A catalog of `recipes` libraries, each linked to up to three before it, for `platforms` platforms."""
    (root / "toolchains").mkdir(parents=True)
    for minor in range(17, 17 + platforms):
        tag = f"manylinux_2_{minor}_x86_64"
        (root / "toolchains" / f"{tag}.toml").write_text(toolchain_text(tag))
    for number in range(recipes):
        hosts = [f"lib{n:05d}" for n in sorted({number * 7 // 11, number // 2, number // 3}) if n < number]
        place = root / "recipes" / f"lib{number:05d}"
        place.mkdir(parents=True)
        (place / "recipe.toml").write_text(recipe_text(number, hosts[:3]))


def fill_store(root: Path, store: Path) -> int:
    """Put a stand-in wheel into the store for every step of a made-up catalog; returns how many."""
    return fill(planner.plan(catalog.load_from(root), Wanted()), store)


def fill(plan: Plan, store: Path) -> int:
    """The same for the steps of a plan. Written directly: `put` syncs each."""
    for step in plan.steps:
        content = step.key.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        filename = f"native_{step.recipe}-{step.version}-py3-none-{step.platform}.whl"
        blob = store / "blobs" / sha256[:2] / sha256 / filename
        blob.parent.mkdir(parents=True)
        blob.write_bytes(content)
        pointer = store / "keys" / step.key[:2] / f"{step.key}.json"
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(json.dumps({"key": step.key, "filename": filename, "sha256": sha256, "size": len(content)}))
    return len(plan.steps)


def write_ninja(root: Path, edges: int) -> None:
    """A build.ninja of copies, as many edges as the farm has steps."""
    root.mkdir(parents=True)
    lines = ["rule cp", "  command = cp $in $out"]
    for number in range(edges):
        (root / f"i{number}").touch()
        lines.append(f"build o{number}: cp i{number}")
    (root / "build.ninja").write_text("\n".join([*lines, ""]))
