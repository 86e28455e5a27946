"""One extension module in three projects, each with its own build backend. Not a test module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from build_factory import step, tarball

from farm.build import pysdk
from farm.build.dependent import build_dependent
from farm.build.result import BuiltWheel
from farm.catalog.values import Catalog, LoadedRecipe
from farm.model.recipe import Recipe
from farm.settings import Settings

ROOT = Path(__file__).parent.parent
MODULE = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
_Static_assert(SIZEOF_VOID_P == sizeof(void *), "what pyconfig.h says of pointers");
_Static_assert(SIZEOF_SIZE_T == sizeof(size_t), "what pyconfig.h says of sizes");
_Static_assert(SIZEOF_LONG == sizeof(long), "what pyconfig.h says of long");
static PyObject *add(PyObject *s, PyObject *a) { int x, y;
  if (!PyArg_ParseTuple(a, "ii", &x, &y)) return NULL;
  if (x == y) { PyErr_SetString(PyExc_ValueError, "equal"); return NULL; }
  return PyLong_FromLong(x + y); }
static PyMethodDef methods[] = {{"add", add, METH_VARARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "", -1, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
"""
PYPROJECT = """\
[build-system]
requires = []
build-backend = "{backend}"

[project]
name = "crossed"
version = "1.0"
requires-python = ">=3.9"
"""
FILES = {
    "setuptools": {
        "pyproject.toml": PYPROJECT.format(backend="setuptools.build_meta"),
        "setup.py": "from setuptools import Extension, setup\n"
        'setup(packages=["crossed"], ext_modules=[Extension("crossed._core", ["crossed/core.c"])])\n',
    },
    "meson-python": {
        "pyproject.toml": PYPROJECT.format(backend="mesonpy"),
        "meson.build": "project('crossed', 'c', version: '1.0')\n"
        "py = import('python').find_installation(pure: false)\n"
        "py.extension_module('_core', 'crossed/core.c', subdir: 'crossed', install: true,\n"
        "  limited_api: get_option('limited_api_version'))\n"
        "py.install_sources('crossed/__init__.py', subdir: 'crossed')\n",
        "meson.options": "option('limited_api_version', type: 'string', value: '')\n",
    },
    "scikit-build-core": {
        "pyproject.toml": PYPROJECT.format(backend="scikit_build_core.build"),
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.18)\nproject(crossed LANGUAGES C)\n"
        "find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)\n"
        "python_add_library(_core MODULE WITH_SOABI crossed/core.c)\n"
        "install(TARGETS _core DESTINATION crossed)\n",
    },
}
LOCKS = {
    "setuptools": "recipes/gmpy2/build-requirements.txt",
    "meson-python": "recipes/python-flint/build-requirements.txt",
    "scikit-build-core": "tests/locks/scikit-build-core.txt",
}
TOOLS = {"scikit-build-core": ["cmake", "ninja"]}


def recipe(folder: Path, backend: str, abi3: str = "") -> LoadedRecipe:
    """The project of one backend as a dependent without requirements; with meson-python also for the stable ABI."""
    folder.mkdir(parents=True)
    files = dict(FILES[backend])
    files["pyproject.toml"] += "[tool.meson-python]\nlimited-api = true\n" if abi3 else ""
    tree = {**files, "crossed/core.c": MODULE, "crossed/__init__.py": "from crossed._core import add\n"}
    sha256 = tarball(folder / "crossed-1.0.tar.gz", tree, top="crossed-1.0/")
    (folder / "lock.txt").write_bytes((ROOT / LOCKS[backend]).read_bytes())
    fields = {
        "format": 1,
        "name": "crossed",
        "kind": "dependent",
        "summary": "adds numbers",
        "license": "0BSD",
        "license_files": ["pyproject.toml"],
        "release": [
            {"version": "1.0", "source": [{"location": [{"url": "file:crossed-1.0.tar.gz", "sha256": sha256}]}]}
        ],
        "requires": {"python": "lock.txt", "tools": TOOLS.get(backend, [])},
        "build": {"system": "pep517", **(_limited(abi3) if abi3 else {})},
        "products": {"imports": ["crossed"]},
    }
    return LoadedRecipe(recipe=Recipe.model_validate(fields), directory=folder)


def _limited(abi3: str) -> dict[str, object]:
    options = ["python.allow_limited_api=true", f"limited_api_version=3.{abi3.removeprefix('cp3')}"]
    return {"abi3": abi3, "args": [f"setup-args=-D{option}" for option in options]}


def build(loaded: LoadedRecipe, platform: str, tag: str, catalog: Catalog, at: Settings, log: Path) -> BuiltWheel:
    """The raw wheel for a platform and a Python."""
    toolchain = catalog.toolchains[platform]
    sdk = pysdk.sdk(tag, toolchain, catalog, at)
    one = replace(step(loaded), id=f"crossed@1.0/{platform}/{tag}", platform=platform, kind="dependent", python=tag)
    return build_dependent(one, loaded, toolchain, {}, at, sdk, log, lambda _phase: None)
