"""python-flint computes with the native FLINT, MPFR and GMP, and each of them is mapped once."""

import os
from pathlib import Path

import flint

x = flint.fmpz_poly([-1, 0, 1])
assert sorted(str(factor) for factor, _ in x.factor()[1]) == ["x + (-1)", "x + 1"]
assert flint.fmpz(1000).partitions_p() == 24061467864032622473692149727991
assert flint.fmpz(2**127 - 1).is_prime()
assert flint.fmpz_mat([[1, 2], [3, 4]]).det() == -2
assert flint.fmpq(1, 3) + flint.fmpq(1, 6) == flint.fmpq(1, 2)
big = flint.fmpz_poly([1] * 20_000)  # large enough for FLINT's fast multiplication
assert (big * big)[19_999] == 20_000
flint.ctx.prec = 200
assert "3.14159265358979323846264338327950288419716939937510582" in flint.arb.pi().str(54, radius=False)
assert flint.acb(1).exp().real.overlaps(flint.arb(1).exp())

maps = Path("/proc/self/maps")
if os.name == "posix" and maps.exists():  # Wine shows Windows programs the file, too
    files = {line.split()[-1] for line in maps.read_text().splitlines() if ".so" in line}
    for library in ("gmp", "mpfr", "flint"):
        copies = [file for file in files if Path(file).name.startswith(f"lib{library}") and "anchor" not in file]
        assert len(copies) == 1, copies
        assert f"native_{library}" in copies[0], copies
print("python-flint", flint.__version__, "FLINT", flint.__FLINT_VERSION__)
