"""Run in each environment: seconds per operation as JSON, called by ctypes. Only the standard library is needed.

Arguments: which library (`farm`: the package native_openblas; `numpy`: the private copy in numpy's wheel), the budget
in seconds, what names must hold. OPENBLAS_NUM_THREADS says how many threads; it must be set before. With one thread
seconds are of processor time, which other work on the machine disturbs less.
"""

import ctypes
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (100, 200, 500, 1000, 2000, 3000)


class Library:
    """An OpenBLAS by the names of Fortran: `farm`'s plain with 32-bit integers, numpy's `scipy_<name>64_`."""

    def __init__(self, which: str) -> None:
        site = Path(sysconfig.get_paths()["platlib"])
        place, pattern = {
            "farm": ("native_openblas/lib", "libopenblas-*"),
            "numpy": ("numpy.libs", "libscipy_openblas64_*"),
        }[which]
        (self.file,) = (site / place).glob(pattern)
        self.library = ctypes.CDLL(str(self.file))
        self.name = {"farm": "{}_", "numpy": "scipy_{}_64_"}[which].format
        self.integer = {"farm": ctypes.c_int32, "numpy": ctypes.c_int64}[which]

    def function(self, name: str, *arguments: object) -> Callable[[], object]:
        """A call of ``name`` with integers, characters and numbers by reference, arrays as they are."""
        function = getattr(self.library, self.name(name))
        values = [self._by_reference(argument) for argument in arguments]
        return lambda: function(*values)

    def _by_reference(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return ctypes.c_char_p(value)
        if isinstance(value, int):
            return ctypes.byref(self.integer(value))
        return ctypes.byref(ctypes.c_double(value)) if isinstance(value, float) else value

    def normal(self, count: int) -> Any:
        """An array of normally distributed numbers, the same in every environment (LAPACK's dlarnv)."""
        numbers = (ctypes.c_double * count)()
        self.function("dlarnv", 3, (self.integer * 4)(2026, 11, 21, 1), count, numbers)()
        return numbers

    def operations(self) -> dict[str, Callable[[], object]]:
        calls = {}
        for n in SIZES:
            a, b, c = self.normal(n * n), self.normal(n * n), (ctypes.c_double * (n * n))()
            calls[f"dgemm {n}"] = self.function("dgemm", b"N", b"N", n, n, n, 1.0, a, n, b, n, 0.0, c, n)
            calls[f"LU {n}"] = self.fresh(a, "dgetrf", n, n, c, n, (self.integer * n)(), 0, copy=c)
        for n in (100, 500):
            a, c, w, v = self.normal(n * n), *((ctypes.c_double * (n * n))() for _ in range(3))
            work, room, whole = (ctypes.c_double * (20 * n * n))(), 20 * n * n, (self.integer * (20 * n))()
            calls[f"eigh {n}"] = self.fresh(a, "dsyevd", b"V", b"L", n, c, n, w, work, room, whole, 20 * n, 0, copy=c)
            calls[f"svd {n}"] = self.fresh(
                a, "dgesdd", b"A", n, n, c, n, w, v, n, (ctypes.c_double * (n * n))(), n, work, room, whole, 0, copy=c
            )
            imaginary = (ctypes.c_double * n)()
            calls[f"eig {n}"] = self.fresh(
                a, "dgeev", b"N", b"V", n, c, n, w, imaginary, v, n, v, n, work, room, 0, copy=c
            )
        return calls

    def fresh(self, source: Any, name: str, *arguments: object, copy: Any) -> Callable[[], object]:
        """A call of a function that overwrites its matrix: `copy` is made anew each time."""
        call = self.function(name, *arguments)
        return lambda: (ctypes.memmove(copy, source, ctypes.sizeof(copy)), call())


def fastest(call: Callable[[], object], budget: float) -> float:
    """Seconds of the fastest call within the budget; at least two calls."""
    clock = time.process_time if os.environ["OPENBLAS_NUM_THREADS"] == "1" else time.perf_counter
    best, end, calls = float("inf"), clock() + budget, 0
    while calls < 2 or clock() < end:
        start = clock()
        call()
        best, calls = min(best, clock() - start), calls + 1
    return best


def main() -> None:
    which, budget, only = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    library = Library(which)
    operations = {name: call for name, call in library.operations().items() if only in name}
    print(json.dumps({name: fastest(call, budget) for name, call in operations.items()}))


main()
