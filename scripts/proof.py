"""Run inside a fresh environment: what is installed, that it computes, and that each library is mapped once.

Prints one JSON document. Standard library only: nothing of the farm is installed there.
"""

import json
from importlib import metadata
from pathlib import Path

import flint
import gmpy2

maps = Path("/proc/self/maps").read_text().splitlines()
mapped = sorted({str(Path(line.split()[-1]).resolve()) for line in maps if "/" in line and ".so" in line})
shared = {
    name: [path for path in mapped if Path(path).name.startswith(f"lib{name}") and "anchor" not in path]
    for name in ("gmp", "mpfr", "mpc", "flint")
}
status = Path("/proc/self/status").read_text().splitlines()
resident_kb = int(next(line.split()[1] for line in status if line.startswith("VmRSS")))
x = flint.fmpz_poly([1, 2, 1])
print(
    json.dumps(
        {
            "versions": {d: metadata.version(d) for d in ("gmpy2", "python-flint")},
            "natives": {
                d.metadata["Name"]: d.version for d in map(metadata.distribution, (f"native-{name}" for name in shared))
            },
            "computed": {
                "gmpy2: pi to 50 digits": str(gmpy2.const_pi(170))[:52],
                "gmpy2: 3**1000003 mod 2**61-1": str(gmpy2.powmod(3, 1000003, 2**61 - 1)),
                "flint: factors of x^2 + 2x + 1": str(x.factor()),
                "flint: partitions of 1000": str(flint.fmpz(1000).partitions_p()),
            },
            "mapped": shared,
            "resident_kb": resident_kb,
        }
    )
)
