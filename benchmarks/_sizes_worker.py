"""Run in each environment, with the modules to import as arguments: what is installed there, and what is mapped.

Prints one JSON document. Only the standard library and what is named.
"""

import importlib
import json
import re
import sys
import sysconfig
from collections import defaultdict
from importlib import metadata
from pathlib import Path

SITE = Path(sysconfig.get_paths()["platlib"])
NOT_COUNTED = {"pip", "setuptools", "wheel"}
VARIANT = "glibc-hwcaps"
# What builders put behind a library's name: `libgmp-nf10.so`, `libgmp-a1b2c3d4.so.10.4.1`, `libgmp.so.10`.
_LIBRARY = re.compile(r"^lib(?P<name>.+?)(-nf\d+|-[0-9a-f]{6,})?\.so[\d.]*$")


def disk() -> dict[str, dict[str, int]]:
    """Bytes by distribution, and how many of them are builds for higher instruction-set levels; no byte code."""
    found: dict[str, dict[str, int]] = {}
    for distribution in metadata.distributions(path=[str(SITE)]):
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
        files = [file for file in files if file.suffix != ".pyc" and file.is_file() and not file.is_symlink()]
        sizes = {file: file.stat().st_size for file in files}
        found[distribution.name.lower()] = {
            "all": sum(sizes.values()),
            "variants": sum(size for file, size in sizes.items() if VARIANT in file.parts),
        }
    return {name: sizes for name, sizes in sorted(found.items()) if name not in NOT_COUNTED}


def mapped() -> dict[str, list[str]]:
    """Library -> the files of it that this process has mapped from its environment; extension modules left out."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = sorted({Path(line.split()[-1]).resolve() for line in lines if ".so" in line})
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        match = _LIBRARY.match(file.name)
        if match and file.is_relative_to(SITE.resolve()) and "anchor" not in file.name:
            found[match["name"]].append(str(file.relative_to(SITE.resolve())))
    return found


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    memory = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in rollup}
    print(json.dumps({"disk": disk(), "mapped": mapped(), "Rss": memory["Rss"], "Pss": memory["Pss"]}))


main()
