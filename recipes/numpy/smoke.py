"""NumPy's linear algebra is the native OpenBLAS's, and that is mapped once."""

import os
from pathlib import Path

import numpy as np

random = np.random.default_rng(1)
a, b = random.standard_normal((300, 300)), random.standard_normal((300, 5))
assert np.abs(a @ np.linalg.solve(a, b) - b).max() < 1e-9
assert np.abs(a @ np.linalg.inv(a) - np.eye(300)).max() < 1e-8
w, v = np.linalg.eigh(a + a.T)
assert np.abs((a + a.T) @ v - v * w).max() < 1e-10
u, s, vt = np.linalg.svd(a + 1j * a.T)
assert np.abs((u * s) @ vt - (a + 1j * a.T)).max() < 1e-10
w, v = np.linalg.eig(a)
assert np.abs(a @ v - v * w).max() < 1e-9
assert np.abs((a @ a)[:3, :3] - np.einsum("ij,jk->ik", a[:3], a[:, :3])).max() < 1e-11
large = random.standard_normal((2000, 2000))
x = random.standard_normal(2000)
assert np.abs((large @ large) @ x - large @ (large @ x)).max() < 1e-7

maps = Path("/proc/self/maps")
if os.name == "posix" and maps.exists():  # Wine shows Windows programs the file, too
    files = {line.split()[-1] for line in maps.read_text().splitlines() if ".so" in line}
    copies = [f for f in files if "openblas" in Path(f).name and "anchor" not in f]
    assert len(copies) == 1, copies
    assert "native_openblas" in copies[0], copies
    assert not [f for f in files if "gfortran" in Path(f).name], files
print("numpy", np.__version__)
