"""A catalog of one tiny library and one dependent with real sources, built by the real farm. Not a test module."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLATFORM = "manylinux_2_17_x86_64"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"

TINY = {
    "tiny.h": "int tiny_add(int, int);\nconst char *tiny_version(void);\n",
    "tiny.c": '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\n'
    'const char *tiny_version(void) { return "1.0"; }\n',
    "COPYING": "do what you like\n",
    "Makefile": "libtiny.a: tiny.o\n\t$(AR) rcs $@ $<\n\ninstall:\n\tmkdir -p $(PREFIX)/lib $(PREFIX)/include\n"
    "\tcp libtiny.a $(PREFIX)/lib/\n\tcp tiny.h $(PREFIX)/include/\n",
}
TINY_RECIPE = """\
format = 1
name = "tiny"
kind = "library"
summary = "adds small numbers"
license = "0BSD"
license_files = ["COPYING"]

[[release]]
version = "1.0"
patches = ["0001-nothing.patch"]
[[release.source]]
[[release.source.location]]
url = "file:tiny-1.0.tar.gz"
sha256 = "{sha256}"

[build]
system = "make"

[products]
headers = ["tiny.h"]
[[products.library]]
name = "tiny"
archive = "lib/libtiny.a"
exports = ["tiny_*"]

[abi]
epoch = 1

[tests]
smoke = "smoke.c"
"""
TINY_RELEASE = """
[[release]]
version = "{version}"
[[release.source]]
[[release.source.location]]
url = "file:tiny-{version}.tar.gz"
sha256 = "{sha256}"
"""
TINY_PATCH = """\
--- a/COPYING
+++ b/COPYING
@@ -1 +1 @@
-do what you like
+do what you like with it
"""
TINY_SMOKE = """\
#include <stdio.h>
#include <tiny.h>
int main(void) { return printf("tiny %s\\n", tiny_version()) < 0 || tiny_add(2, 3) != 5; }
"""

PYTINY = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: pytiny\nVersion: 0.5\n",
    "COPYING": "do what you like\n",
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "pytiny"\nversion = "0.5"\nlicense = "0BSD"\nlicense-files = ["COPYING"]\n',
    "setup.py": "from setuptools import Extension, setup\n"
    'setup(packages=["pytiny"], ext_modules=[Extension("pytiny._core", ["core.c"], libraries=["tiny"])])\n',
    "core.c": "#include <Python.h>\n#include <tiny.h>\n"
    "static PyObject *add(PyObject *s, PyObject *a) { int x, y;\n"
    '  if (!PyArg_ParseTuple(a, "ii", &x, &y)) return NULL; return PyLong_FromLong(tiny_add(x, y)); }\n'
    'static PyMethodDef m[] = {{"add", add, METH_VARARGS, ""}, {0}};\n'
    'static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "_core", "", -1, m};\n'
    "PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&d); }\n",
    "pytiny/__init__.py": '"""Adds."""\n\nfrom pytiny._core import add\n',
    "tests/test_pytiny.py": "import pytiny\n\ndef test_add():\n    assert pytiny.add(2, 3) == 5\n\n"
    "def test_more():\n    assert pytiny.add(-1, 1) == 0\n",
}
PYTINY_RECIPE = """\
format = 1
name = "pytiny"
kind = "dependent"
summary = "adds small numbers from Python"
license = "0BSD"
license_files = ["COPYING"]

[[release]]
version = "0.5"
[[release.source]]
[[release.source.location]]
url = "file:pytiny-0.5.tar.gz"
sha256 = "{sha256}"

[requires]
host = ["tiny"]
python = "build-requirements.txt"

[build]
system = "pep517"

[products]
imports = ["pytiny"]

[tests]
smoke = "smoke.py"
[tests.upstream]
command = ["{{python}}", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
copy_paths = ["tests"]
requires = ["pytest"]
"""
PYTINY_SMOKE = "import pytiny\n\nassert pytiny.add(2, 3) == 5\n"


def tarball(path: Path, top: str, files: dict[str, str]) -> str:
    """Write a release archive and return its sha256."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            data = text.encode()
            info.size, info.mtime, info.mode = len(data), 1_700_000_000, 0o644
            archive.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(catalog: Path, *, files: dict[str, str] | None = None) -> Path:
    """Lay out the catalog; `files` replaces or adds files of the library's release. Returns it."""
    tiny, pytiny = catalog / "recipes/tiny", catalog / "recipes/pytiny"
    for folder in (tiny / "patches", pytiny, catalog / "toolchains"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / f"toolchains/{PLATFORM}.toml", catalog / "toolchains")
    shutil.copy(ROOT / "recipes/gmpy2/build-requirements.txt", pytiny)
    digest = tarball(tiny / "tiny-1.0.tar.gz", "tiny-1.0", {**TINY, **(files or {})})
    (tiny / "recipe.toml").write_text(TINY_RECIPE.format(sha256=digest))
    (tiny / "patches/0001-nothing.patch").write_text(TINY_PATCH)
    (tiny / "smoke.c").write_text(TINY_SMOKE)
    digest = tarball(pytiny / "pytiny-0.5.tar.gz", "pytiny-0.5", PYTINY)
    (pytiny / "recipe.toml").write_text(PYTINY_RECIPE.format(sha256=digest))
    (pytiny / "smoke.py").write_text(PYTINY_SMOKE)
    return catalog


def add_platforms(catalog: Path) -> Path:
    """All of this project's toolchains, and what they test with. Returns the catalog."""
    shutil.copytree(ROOT / "toolchains", catalog / "toolchains", dirs_exist_ok=True)
    return catalog


def add_release(catalog: Path, version: str, files: dict[str, str]) -> None:
    """Upstream makes a newer release of `tiny`; `files` replaces or adds files of the first one."""
    folder = catalog / "recipes/tiny"
    digest = tarball(folder / f"tiny-{version}.tar.gz", f"tiny-{version}", {**TINY, **files})
    recipe = folder / "recipe.toml"
    release = TINY_RELEASE.format(version=version, sha256=digest)
    recipe.write_text(recipe.read_text().replace("\n[build]\n", f"{release}\n[build]\n", 1))


def farm(catalog: Path, *args: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(command(catalog, *args, home=home), capture_output=True, text=True, timeout=1800)


def command(catalog: Path, *args: str, home: Path | None = None) -> list[str]:
    return [
        sys.executable,
        "-m",
        "farm.cli",
        "--catalog",
        str(catalog),
        "--home",
        str(home or catalog / ".farm"),
        *args,
    ]


def install(where: Path, index: Path, *packages: str) -> Path:
    """A fresh environment with packages from a channel and nothing else; returns its python."""
    subprocess.run([sys.executable, "-m", "venv", where], check=True)
    python = where / "bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--isolated", "--disable-pip-version-check", "--index-url",
         f"file://{index}", *packages], check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})  # fmt: skip
    return python
