"""gmpy2 computes with the native GMP, MPFR and MPC, and each of them is mapped once."""

import os
from pathlib import Path

import gmpy2
from gmpy2 import mpc, mpfr, mpq, mpz

assert mpz(2) ** 521 - 1 == int("1" * 521, 2)
assert gmpy2.is_prime(mpz(2) ** 521 - 1)
assert gmpy2.powmod(3, 1_000_003, 2**61 - 1) == pow(3, 1_000_003, 2**61 - 1)
assert gmpy2.gcd(mpz(2) ** 200 * 15, mpz(10) ** 100) == 2**100 * 5
assert mpq(1, 3) + mpq(1, 6) == mpq(1, 2)
with gmpy2.context(precision=200):
    assert str(gmpy2.const_pi()).startswith("3.14159265358979323846264338327950288419716939937510")
    assert abs(gmpy2.sqrt(mpc(-1)) - mpc(0, 1)) == 0
    assert abs(gmpy2.exp(mpfr(1)) - mpfr("2.718281828459045235360287471352662497757247093699959574966")) < mpfr("1e-50")

maps = Path("/proc/self/maps")
if os.name == "posix" and maps.exists():  # Wine shows Windows programs the file, too
    files = {line.split()[-1] for line in maps.read_text().splitlines() if ".so" in line}
    for library in ("gmp", "mpfr", "mpc"):
        copies = [file for file in files if Path(file).name.startswith(f"lib{library}") and "anchor" not in file]
        assert len(copies) == 1, copies
        assert f"native_{library}" in copies[0], copies
print("gmpy2", gmpy2.version(), gmpy2.mp_version(), gmpy2.mpfr_version(), gmpy2.mpc_version())
