"""Size: gmpy2 + python-flint with their native wheels against PyPI's two wheels, on disk and in memory."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks._environments import ROOT, farm_environment, peer_environment, site_packages
from farm.cli.output import human_size, print_json, print_table
from farm.process import run

PACKAGES = ("gmpy2", "python-flint")
MEMORY = """
import json, pathlib
import gmpy2, flint
gmpy2.const_pi(10_000); flint.fmpz_poly([1, 2]) * flint.fmpz_poly([3])
fields = dict(l.split(":", 1) for l in pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
print(json.dumps({k: 1024 * int(fields[k].split()[0]) for k in ("Rss", "Pss")}))
"""


def site_bytes(python: Path, *, variants: bool = True) -> int:
    """Bytes of the environment's site-packages without pip, setuptools and byte code; with or without the builds for
    higher instruction-set levels, which PyPI's wheels do not have."""
    skip = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
    return sum(
        path.stat().st_size
        for top in site_packages(python).iterdir()
        if not top.name.startswith(skip)
        for path in ([top] if top.is_file() else top.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and (variants or "glibc-hwcaps" not in path.parts)
    )


def copies(python: Path) -> dict[str, int]:
    mapped = json.loads(run([python, "-I", ROOT / "scripts/proof.py"]).output)["mapped"]
    return {name: len(paths) for name, paths in mapped.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sides = {
            "farm": farm_environment(Path(scratch) / "farm", *PACKAGES),
            "PyPI": peer_environment(Path(scratch) / "peer", *PACKAGES),
        }
        facts = {
            side: {
                "disk": site_bytes(p),
                "baseline": site_bytes(p, variants=False),
                **json.loads(run([p, "-I", "-c", MEMORY]).output),
                "copies": copies(p),
            }
            for side, p in sides.items()
        }
    if args.json:
        print_json(facts)
        return 0
    rows = []
    for what, key in (
        ("on disk", "disk"),
        ("without x86-64-v3", "baseline"),
        ("resident", "Rss"),
        ("proportional", "Pss"),
    ):
        ours, theirs = facts["farm"][key], facts["PyPI"][key]
        rows.append([what, human_size(ours), human_size(theirs), f"{ours / theirs:.2f}"])
    print_table(["gmpy2 + python-flint", "farm", "PyPI", "farm / PyPI"], rows)
    print()
    farm_copies, peer_copies = facts["farm"]["copies"], facts["PyPI"]["copies"]
    rows = [[name, str(count), str(peer_copies[name])] for name, count in farm_copies.items()]
    print_table(["copies mapped", "farm", "PyPI"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
