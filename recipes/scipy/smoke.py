"""SciPy's linear algebra is the native OpenBLAS's, the same copy that NumPy uses in this process."""

import os
from pathlib import Path

import numpy as np
import scipy
from scipy import fft, integrate, interpolate, linalg, optimize, sparse, spatial, special, stats
from scipy.linalg import blas, cython_blas, lapack
from scipy.sparse import linalg as sparse_linalg

random = np.random.default_rng(1)
a, b = random.standard_normal((200, 200)), random.standard_normal((200, 5))
assert np.abs(a @ linalg.solve(a, b) - b).max() < 1e-9
assert np.abs(linalg.expm(linalg.logm(a @ a.T + 200 * np.eye(200))) - (a @ a.T + 200 * np.eye(200))).max() < 1e-8
t, z = linalg.schur(a)
assert np.abs(z @ t @ z.T - a).max() < 1e-10
p, lower, upper = linalg.lu(a + 1j * a.T)
assert np.abs(p @ lower @ upper - (a + 1j * a.T)).max() < 1e-10
assert np.abs(blas.dgemm(1.0, a, b) - np.einsum("ij,jk->ik", a, b)).max() < 1e-11
# Complex results by value: what compilers of Fortran disagree on.
x = random.standard_normal(50) + 1j * random.standard_normal(50)
assert abs(blas.zdotc(x, x) - np.sum(np.abs(x) ** 2)) < 1e-11
assert abs(blas.cdotu(x.astype(np.complex64), x.astype(np.complex64)) - np.sum(x * x)) < 1e-3
assert lapack.dlange("1", a) > 0
assert "dgemm" in cython_blas.__pyx_capi__
laplace = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(400, 400), format="csc")
assert np.abs(laplace @ sparse_linalg.spsolve(laplace, np.ones(400)) - 1).max() < 1e-9
low = sparse_linalg.eigsh(laplace, k=3, sigma=0, return_eigenvectors=False)
assert np.abs(np.sort(low) - (2 - 2 * np.cos(np.arange(1, 4) * np.pi / 401))).max() < 1e-10
assert abs(sparse_linalg.svds(laplace, k=1, return_singular_vectors=False)[0] - 4) < 1e-3
assert abs(special.gamma(5.5) - 52.34277778455352) < 1e-11
assert abs(special.jv(2.5, 3.0) - 0.4127100324) < 1e-8
assert abs(integrate.quad(lambda t: np.exp(-t * t), -np.inf, np.inf)[0] - np.sqrt(np.pi)) < 1e-10
assert np.abs(optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8], method="BFGS").x - 1).max() < 1e-3
assert abs(optimize.linprog([-1, -2], A_ub=[[1, 1]], b_ub=[4]).fun + 8) < 1e-9
assert abs(interpolate.CubicSpline([0, 1, 2, 3], [0, 1, 8, 27])(1.5) - 3.375) < 1e-9
assert len(spatial.Delaunay(random.standard_normal((30, 2))).simplices) > 20
assert np.abs(fft.ifft(fft.fft(x)) - x).max() < 1e-12
assert abs(stats.norm.cdf(1.96) - 0.9750021048517795) < 1e-12

maps = Path("/proc/self/maps")
if os.name == "posix" and maps.exists():  # Wine shows Windows programs the file, too
    files = {line.split()[-1] for line in maps.read_text().splitlines() if ".so" in line}
    copies = [f for f in files if "openblas" in Path(f).name and "anchor" not in f]
    assert len(copies) == 1, copies
    assert "native_openblas" in copies[0], copies
    assert not [f for f in files if "gfortran" in Path(f).name], files
print("scipy", scipy.__version__, "with numpy", np.__version__)
