"""`load()` of installed native wheels on glibc: every layout of site directories, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import native_factory as factory
import pytest
from native_factory import Tiny

EXTENSION = """
#include <Python.h>
#include <mpfr.h>
static PyObject *square(PyObject *self, PyObject *value) {
  mpz_t x; mpz_init(x); mpz_set_ui(x, PyLong_AsUnsignedLong(value));
  unsigned long result = tiny_mpfr_square(x); mpz_clear(x);
  return PyLong_FromUnsignedLong(result);
}
static PyMethodDef methods[] = {{"square", square, METH_O, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ext", "", -1, methods};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&module); }
"""
# The extension has no run path: only `load()` can have made the library known.
USE = "import native_mpfr; native_mpfr.load(); import ext; print(ext.square(12))"
MAPPED = (
    "; print(*sorted({l.split('/')[-1].strip() + ' ' + l.split()[-1] for l in open('/proc/self/maps') "
    "if '-nf' in l and '.anchor' not in l}), sep='\\n')"
)


@dataclass(frozen=True)
class World:
    gmp: Tiny
    mpfr: Tiny
    extension: Path

    def wheels(self) -> tuple[Path, Path]:
        return self.gmp.wheel, self.mpfr.wheel


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    work = tmp_path_factory.mktemp("world")
    gmp = factory.tiny_gmp(work, variant=True)
    mpfr = factory.tiny_mpfr(work, gmp)
    flags = [f"-I{t.package}/include" for t in (gmp, mpfr)] + [f"-L{t.package}/lib" for t in (gmp, mpfr)]
    include = f"-I{sysconfig.get_path('include')}"
    extension = factory.compile_library(work / "ext" / "ext.so", EXTENSION, include, *flags, "-lmpfr", "-lgmp")
    return World(gmp=gmp, mpfr=mpfr, extension=extension.parent)


def _pip(*arguments: str | Path, python: str = sys.executable, **env: str) -> None:
    command = [python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, **env})


def _python(code: str, *options: str, python: str | Path = sys.executable, **env: str) -> str:
    done = subprocess.run(
        [str(python), *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", **env},
    )
    return done.stdout if done.returncode == 0 else done.stderr


def _proved(output: str) -> None:
    """The right result, and one copy of each library."""
    lines = output.splitlines()
    assert lines[0] == "144", output
    assert [line.split()[0] for line in lines[1:]] == ["libgmp-nf10.so", "libmpfr-nf06.so"]


def test_virtual_environment_also_isolated(tmp_path: Path, world: World) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", *world.wheels()]
    subprocess.run(list(map(str, command)), check=True, timeout=120)
    code = f"import sys; sys.path.append({str(world.extension)!r}); {USE}{MAPPED}"
    _proved(_python(code, python=python))
    _proved(_python(code, "-I", python=python))


def test_target_directory(tmp_path: Path, world: World) -> None:
    _pip("--target", tmp_path, *world.wheels())
    _proved(_python(USE + MAPPED, PYTHONPATH=f"{tmp_path}:{world.extension}"))


def test_split_site_directories_in_either_order(tmp_path: Path, world: World) -> None:
    """The run path of libmpfr leads nowhere here: the order of `load()` and the anchors do it."""
    for name, wheel in zip("ab", world.wheels(), strict=True):
        _pip("--target", tmp_path / name, wheel)
    for first, second in ("ab", "ba"):
        path = f"{tmp_path / first}:{tmp_path / second}:{world.extension}"
        _proved(_python(USE + MAPPED, PYTHONPATH=path))


def test_user_site(tmp_path: Path, world: World) -> None:
    python = str(getattr(sys, "_base_executable", sys.executable))
    _pip("--user", "--break-system-packages", *world.wheels(), python=python, PYTHONUSERBASE=str(tmp_path))
    _proved(_python(USE + MAPPED, python=python, PYTHONUSERBASE=str(tmp_path), PYTHONPATH=str(world.extension)))


def test_symlinked_package(tmp_path: Path, world: World) -> None:
    for tiny in (world.gmp, world.mpfr):
        (tmp_path / tiny.package.name).symlink_to(tiny.package)
    _proved(_python(USE + MAPPED, PYTHONPATH=f"{tmp_path}:{world.extension}"))


def _site(*sites: Tiny) -> str:
    return ":".join(str(tiny.site) for tiny in sites)


def test_many_threads_load_once(world: World) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor as P; import native_mpfr, native_gmp\n"
        "with P(16) as pool: handles = list(pool.map(lambda i: (native_mpfr, native_gmp)[i % 2].load(), range(64)))\n"
        "print(len({id(h) for h in handles}), native_mpfr.load() is handles[0])"
    )
    assert _python(code, PYTHONPATH=_site(world.gmp, world.mpfr)) == "2 True\n"


def test_functions_are_reachable_through_the_handle(world: World) -> None:
    code = "import native_gmp, ctypes; print(ctypes.c_char_p.in_dll(native_gmp.load(), '__gmp_version').value.decode())"
    assert _python(code, PYTHONPATH=_site(world.gmp)) == "6.3.0\n"


def test_instruction_set_level_is_the_loaders_choice(world: World) -> None:
    code = (
        "import native_gmp, ctypes; f = native_gmp.load().tiny_level; f.restype = ctypes.c_char_p; print(f().decode())"
    )
    masked = _python(code, PYTHONPATH=_site(world.gmp), GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2")
    assert masked == "baseline\n"
    flags = Path("/proc/cpuinfo").read_text()
    if all(f" {flag} " in flags.replace("\n", " ") for flag in ("avx2", "bmi2", "fma", "movbe")):
        assert _python(code, PYTHONPATH=_site(world.gmp)) == "x86-64-v3\n"


def test_importing_does_not_load(world: World) -> None:
    code = "import native_mpfr, sys; print('ctypes' in sys.modules, 'native_gmp' in sys.modules)"
    assert _python(code, PYTHONPATH=_site(world.mpfr)) == "False False\n"


LOAD = "import native_mpfr; native_mpfr.load()"
REQUIREMENT = "native-gmp>=10!6.2.0,<11!0"


def test_missing_native_is_said_in_a_sentence(world: World) -> None:
    shown = _python(LOAD, PYTHONPATH=_site(world.mpfr)).splitlines()[-1]
    assert shown == (
        f"ImportError: native-mpfr 6!4.2.2 needs {REQUIREMENT}, which is not installed: pip install '{REQUIREMENT}'"
    )


@pytest.mark.parametrize(("release", "epoch", "version"), [("6.1.9", 10, "10!6.1.9"), ("6.3.0", 11, "11!6.3.0")])
def test_too_old_or_of_another_epoch_is_said(
    tmp_path: Path, world: World, release: str, epoch: int, version: str
) -> None:
    other = factory.tiny_gmp(tmp_path, release, epoch=epoch)
    shown = _python(LOAD, PYTHONPATH=_site(other, world.mpfr)).splitlines()[-1]
    assert f"needs {REQUIREMENT}, but {version} is installed at {other.package}/__init__.py: pip install" in shown


def test_what_the_systems_loader_refuses_is_said(tmp_path: Path, world: World) -> None:
    broken = factory.tiny_gmp(tmp_path)
    library = broken.package / "lib" / "libgmp-nf10.so"
    library.write_bytes(library.read_bytes()[:100])
    shown = _python("import native_gmp; native_gmp.load()", PYTHONPATH=_site(broken)).splitlines()[-1]
    assert shown.startswith(f"ImportError: native-gmp 10!6.3.0 is installed at {broken.package}, but its library")
    assert "This wheel is for manylinux_2_17_x86_64" in shown


def test_a_failed_load_can_be_repeated_after_the_cause_is_gone(tmp_path: Path, world: World) -> None:
    code = (
        "import native_mpfr, sys\n"
        "try: native_mpfr.load()\n"
        "except ImportError: sys.path.append(sys.argv[1])\n"
        "print(native_mpfr.load() is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.gmp.site)],
        env={"PYTHONPATH": str(world.mpfr.site)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "True\n", done.stderr
