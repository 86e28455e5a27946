"""Run in each environment: seconds per operation as JSON. Only the standard library, gmpy2 and flint."""

import json
import operator
import random
import sys
import time
from collections.abc import Callable
from functools import partial

import flint
import gmpy2

LIMBS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000, 10_000, 100_000)


def seconds_per_call(call: Callable[[], object], budget: float) -> float:
    """The fastest of several rounds, each long enough for the clock."""
    count, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - start
        if spent > budget / 8 or count >= 1 << 22:
            break
        count *= 2
    best, used = spent / count, spent
    while used < budget:
        start = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - start
        best, used = min(best, spent / count), used + spent
    return best


def operations() -> dict[str, Callable[[], object]]:
    rng = random.Random(20261121)

    def number(limbs: int) -> int:
        return rng.getrandbits(64 * limbs) | (1 << (64 * limbs - 1)) | 1

    calls: dict[str, Callable[[], object]] = {}
    for n in LIMBS:
        a, b, wide = (gmpy2.mpz(number(k)) for k in (n, n, 2 * n))
        calls[f"mul {n}"] = partial(operator.mul, a, b)
        calls[f"div {n}"] = partial(gmpy2.f_divmod, wide, b)
        calls[f"gcd {n}"] = partial(gmpy2.gcd, a, b)
        if n <= 1000:
            e = gmpy2.mpz(number(min(n, 16)))
            calls[f"powmod {n}"] = partial(gmpy2.powmod, a, e, b)
        x, y = flint.fmpz(int(a)), flint.fmpz(int(b))
        calls[f"flint mul {n}"] = partial(operator.mul, x, y)
    for digits in (100, 1000, 10_000, 100_000):
        calls[f"mpfr pi {digits}"] = partial(fresh_pi, int(digits * 3.3219) + 1)
    for length, bits in ((10, 30), (100, 100), (1000, 200), (10_000, 60), (1000, 10_000)):
        p, q = (flint.fmpz_poly([rng.getrandbits(bits) for _ in range(length)]) for _ in range(2))
        calls[f"flint fmpz_poly mul {length}x{bits}"] = partial(operator.mul, p, q)
    for length in (100, 10_000, 100_000):
        p, q = (flint.nmod_poly([rng.getrandbits(59) for _ in range(length)], 2**61 - 1) for _ in range(2))
        calls[f"flint nmod_poly mul {length}"] = partial(operator.mul, p, q)
    return calls


def fresh_pi(bits: int) -> object:
    gmpy2.free_cache()  # MPFR keeps its constants: measure the computation
    return gmpy2.const_pi(bits)


def main() -> None:
    budget = float(sys.argv[1])
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    print(json.dumps({name: seconds_per_call(call, budget) for name, call in operations().items() if only in name}))


main()
