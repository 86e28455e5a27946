"""A tiny library whose recipe gives its symbols other public names, built by the real pipeline. Not a test module.

It has what can go wrong: functions of short and long names, exported data, a call from one object into another, a
function whose address is taken, a common block, a weak function, and names as Fortran's and C's parts of BLAS have.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

from build_factory import ROOT, tarball
from platform_files import toolchain

from farm import settings as places
from farm.binary import formats
from farm.build import toolchain as toolchains
from farm.catalog import Catalog
from farm.catalog.values import LoadedRecipe
from farm.model.artifact import Artifact
from farm.model.binary import Linkage
from farm.model.finding import Finding
from farm.model.names import shared_name
from farm.model.recipe import Build, Recipe, Requires
from farm.model.toolchain import Toolchain
from farm.pipeline import Pipeline
from farm.plan import planner
from farm.plan.values import Wanted
from farm.process import Cancel
from farm.settings import Settings
from farm.store.artifacts import Store

EPOCH = 4
TOY_H = """\
#ifndef TOY_H
#define TOY_H
#if defined(_WIN32) && !defined(TOY_INSIDE)
#define TOY_DATA __declspec(dllimport) extern
#else
#define TOY_DATA extern
#endif
TOY_DATA int toy_table[4];
TOY_DATA int toy_common[8];
typedef int (*toy_operation)(int, int);
int toy_add(int, int);
int toy_sum_of_the_whole_table(int);
int toy_weak(void);
toy_operation toy_pick(void);
int *toy_counter(void);
void dgemm_(int *);
int cblas_dgemm(int);
int LAPACKE_dgesv(int);
#endif
"""
TOY_C = """\
#define TOY_INSIDE
#include "toy.h"
int toy_table[4] = {1, 2, 3, 4};
int toy_common[8];
static int hidden(int a) { return a; }
int toy_add(int a, int b) { return hidden(a) + b; }
toy_operation toy_pick(void) { return toy_add; }
#ifndef _WIN32 /* the compiler's import libraries name a weak function by what it stands for */
__attribute__((weak))
#endif
int toy_weak(void) { return 5; }
int *toy_counter(void) { return &toy_common[7]; }
void dgemm_(int *x) { *x *= 2; }
"""
MORE_C = """\
#define TOY_INSIDE
#include "toy.h"
int internal_of_another_file(int a) { return toy_add(a, toy_table[3]); }
int toy_sum_of_the_whole_table(int a)
{
    for (int i = 0; i < 3; i++) a = toy_pick()(a, toy_table[i]);
    *toy_counter() += 1;
    return internal_of_another_file(a) + toy_weak();
}
int cblas_dgemm(int a) { dgemm_(&a); return a; }
int LAPACKE_dgesv(int a) { return cblas_dgemm(a) + toy_table[0]; }
"""
MAKEFILE = """\
libtoy.a: toy.o more.o
\t$(AR) rcs $@ $^
install: libtoy.a
\tmkdir -p $(PREFIX)/lib $(PREFIX)/include
\tcp libtoy.a $(PREFIX)/lib/
\tcp toy.h $(PREFIX)/include/
"""
TREE = {"toy.h": TOY_H, "toy.c": TOY_C, "more.c": MORE_C, "Makefile": MAKEFILE, "COPYING": "free\n"}
# Another recipe, which knows nothing of other names.
TOP_H = "int top_total(int);\n"
TOP_C = """\
#include <toy.h>
#include "top.h"
int top_total(int a) { toy_operation add = toy_add; return add(toy_sum_of_the_whole_table(a), toy_table[1]); }
"""
TOP_TREE = {
    "top.h": "#include <toy.h>\n" + TOP_H,
    "top.c": TOP_C,
    "Makefile": MAKEFILE.replace("toy.o more.o", "top.o").replace("toy", "top"),
    "COPYING": "free\n",
}
PUBLIC = {
    "toy_table",
    "toy_common",
    "toy_add",
    "toy_sum_of_the_whole_table",
    "toy_weak",
    "toy_pick",
    "toy_counter",
    "dgemm_",
    "cblas_dgemm",
    "LAPACKE_dgesv",
}
LIBRARY = {
    "name": "toy",
    "archive": "lib/libtoy.a",
    "exports": ["toy_*", "cblas_*", "LAPACKE_*", "[a-z]*_"],
}
# The sum is of 10, 1, 2, 3, 4 and the weak function's 5; then a call through an address, data, and BLAS's names.
PROGRAM = """\
#include <stdio.h>
#include <top.h>
int main(void)
{
    int sum = toy_sum_of_the_whole_table(10);
    int called = toy_pick()(20, toy_add(0, 1));
    int counted = *toy_counter();
    int x = 4;
    dgemm_(&x);
    int blas = cblas_dgemm(5), lapack = LAPACKE_dgesv(3), total = top_total(1);
    int data = toy_table[0] + toy_table[3] + (int) (sizeof toy_common / sizeof toy_common[0]);
    printf("%d %d %d %d %d %d %d %d\\n", sum, called, counted, x, blas, lapack, total, data);
#ifdef _WIN32 /* there a program knows a function of a DLL by the address of its own jump to it */
    return 0;
#else
    return toy_add == toy_pick() ? 0 : 1;
#endif
}
"""
PRINTED = ["25", "21", "1", "8", "10", "7", "18", "13"]


def recipe(folder: Path, name: str = "toy", tree: Mapping[str, str] = TREE, **changes: object) -> LoadedRecipe:
    """The recipe of the library in `folder`, its source beside it; `changes` replace fields."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = tarball(folder / "source.tar.gz", tree, top=f"{name}-1.0/")
    fields: dict[str, object] = {
        "format": 1,
        "name": name,
        "kind": "library",
        "summary": "a library of a few functions",
        "license": "0BSD",
        "license_files": ["COPYING"],
        "release": [{"version": "1.0", "source": [{"location": [{"url": "file:source.tar.gz", "sha256": sha256}]}]}],
        "build": {"system": "make"},
        "products": products(),
        "abi": {"epoch": EPOCH},
    }
    return LoadedRecipe(recipe=Recipe.model_validate({**fields, **changes}), directory=folder)


def products(**changes: object) -> dict[str, object]:
    """The products of the recipe; `changes` are keys of its library."""
    return {"headers": ["toy.h"], "library": [{**LIBRARY, **changes}]}


def top(folder: Path) -> LoadedRecipe:
    """A recipe whose library is linked to the other one's."""
    library = {"name": "top", "archive": "lib/libtop.a", "exports": ["top_*"]}
    made = {"headers": ["top.h"], "library": [library]}
    return recipe(folder, "top", TOP_TREE, products=made, requires={"host": ["toy"]})


MODULE = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <toy.h>
static PyObject *total(PyObject *self, PyObject *none)
{ return PyLong_FromLong(toy_sum_of_the_whole_table(toy_pick()(toy_table[3], 2))); }
static PyMethodDef methods[] = {{"total", total, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "", -1, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
"""
MODULE_TOTAL = 21
_SETUP = """\
from setuptools import Extension, setup
setup(packages=["user"], ext_modules=[Extension("user._core", ["user/core.c"], libraries=["toy"])])
"""
_PROJECT = """\
[build-system]
requires = []
build-backend = "setuptools.build_meta"
[project]
name = "user"
version = "1.0"
license = "0BSD"
license-files = ["COPYING"]
"""


def user(folder: Path) -> LoadedRecipe:
    """A dependent in Python whose extension module calls the library, by the names of its headers."""
    tree = {
        "pyproject.toml": _PROJECT,
        "COPYING": "free\n",
        "setup.py": _SETUP,
        "user/core.c": MODULE,
        "user/__init__.py": "from user._core import total\n",
    }
    loaded = recipe(folder, "user", tree, products={"imports": ["user"]})
    (folder / "lock.txt").write_bytes((ROOT / "recipes/gmpy2/build-requirements.txt").read_bytes())
    changes = {
        "kind": "dependent",
        "requires": Requires(host=("toy",), python="lock.txt"),
        "build": Build(system="pep517"),
        "abi": None,
    }
    return replace(loaded, recipe=loaded.recipe.model_copy(update=changes))


def catalog_of(folder: Path, platform: str, *recipes: LoadedRecipe) -> Catalog:
    """A catalog of these recipes for one platform."""
    names = {loaded.recipe.name: loaded for loaded in recipes}
    return Catalog(
        root=folder,
        recipes=names,
        toolchains={platform: toolchain(platform)},
        providers={name: name for name in names},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The stored wheels of a catalog, by recipe, and what the gates said of each."""

    catalog: Catalog
    toolchain: Toolchain
    settings: Settings
    wheels: dict[str, Path]
    findings: dict[str, tuple[Finding, ...]]

    def site(self, folder: Path) -> Path:
        """All wheels, unpacked side by side."""
        for wheel in self.wheels.values():
            with ZipFile(wheel) as archive:
                archive.extractall(folder)
        return folder

    def library(self, site: Path, name: str = "toy") -> Path:
        return next(site.glob(f"native_*/lib/{shared_name(name, EPOCH, self.toolchain.binary)}"))

    def linkage(self, site: Path, name: str = "toy") -> Linkage:
        found = formats.read_file(self.library(site, name))
        assert found is not None
        return found


def build(home: Path, platform: str, *recipes: LoadedRecipe) -> Made:
    """The recipes through the pipeline: built, linked, packed and audited."""
    settings = places.load(catalog=ROOT, home=home)
    store = Store(settings.store)
    findings: dict[str, tuple[Finding, ...]] = {}
    catalog = catalog_of(home, platform, *recipes)
    pipeline = Pipeline(
        catalog=catalog,
        store=store,
        settings=settings,
        findings=lambda step, found: findings.__setitem__(step.recipe, found),
    )
    artifacts: dict[str, Artifact] = {}
    plan = planner.plan(catalog, Wanted(platforms=(platform,), pythons=(f"cp3{sys.version_info[1]}",)))
    for step in plan.steps:
        deps = {required: artifacts[required] for required in step.requires}
        artifacts[step.id] = pipeline(step, deps, Cancel(), lambda _phase: None)
    wheels = {step.recipe: store.path(artifacts[step.id]) for step in plan.steps}
    chain = catalog.toolchains[platform]
    return Made(catalog=catalog, toolchain=chain, settings=settings, wheels=wheels, findings=findings)


def compiler(made: Made, work: Path, sources: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The platform's compiler as a user has it: its command and its environment."""
    work.mkdir(exist_ok=True)
    tools = toolchains.materialise(made.toolchain, made.settings)
    command, environment = toolchains.user_compiler(tools, work, sources)
    return tuple(command), environment


def pkg_config(site: Path, *words: str) -> list[str]:
    """What pkg-config says, of packages in a site directory."""
    paths = ":".join(str(folder) for folder in sorted(site.glob("native_*/lib/pkgconfig")))
    done = subprocess.run(
        ["pkg-config", *words],
        env={"PKG_CONFIG_LIBDIR": paths, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
