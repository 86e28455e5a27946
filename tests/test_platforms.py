"""Every platform of the catalog: two small recipes, one linked to the other and of two libraries of which the second
needs the first, built by the real farm and audited.

This is what "a platform is a file" has to prove: nothing here names a platform, only formats and what a toolchain says.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from build_factory import ROOT, tarball
from platform_files import toolchain

from farm import catalog as catalogs
from farm import runners
from farm import settings as places
from farm.binary import formats
from farm.build import toolchain as toolchains
from farm.catalog import Catalog
from farm.catalog.values import LoadedRecipe
from farm.model.artifact import Artifact
from farm.model.binary import Linkage
from farm.model.names import install_name, shared_name
from farm.model.outcome import Outcome
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.pipeline import Pipeline
from farm.plan import planner
from farm.plan.values import Wanted
from farm.process import Cancel
from farm.runners import ProgramTest
from farm.settings import Settings
from farm.store.artifacts import Store

PLATFORMS = sorted(file.stem for file in (ROOT / "toolchains").glob("*.toml"))

MAKEFILE = """\
lib{name}.a: {name}.o more.o
\t$(AR) rcs $@ $^
install: lib{name}.a
\tmkdir -p $(PREFIX)/lib $(PREFIX)/include
\tcp lib{name}.a $(PREFIX)/lib/
\tcp {name}.h $(PREFIX)/include/
"""
BASE = {
    "base.h": """\
#include <stddef.h>
#if defined(_WIN32) && !defined(BASE_INSIDE)
__declspec(dllimport)
#endif
extern int base_table[4];
char *base_copy(const char *, size_t);
double base_root(double);
int base_soft(int);
""",
    "base.c": """\
#define BASE_INSIDE
#include "base.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
int base_table[4] = {1, 2, 3, 4};
int other_hidden(int);
char *base_copy(const char *text, size_t size)
{
    char *copy = calloc(size + 1, 1);
    return copy ? memcpy(copy, text, size) : NULL;
}
__attribute__((weak)) int base_soft(int a) { return a - 1; }
double base_root(double x) { return sqrt(x) + other_hidden(2) + pow(x, 0.3); }
""",
    "more.c": "int other_hidden(int a) { return a + 1; }\n",
    "Makefile": MAKEFILE.format(name="base"),
    "COPYING": "free\n",
}
TOP = {
    "top.h": "int top_sum(void);\nchar *top_copy(const char *);\nint over_twice(void);\n",
    "over.c": '#include "top.h"\nint over_twice(void) { return 2 * top_sum(); }\n',
    "top.c": '#include "top.h"\n#include <base.h>\n#include <string.h>\nint top_helper(int);\n'
    "int top_sum(void) { return base_table[0] + base_table[3] + top_helper(1); }\n"
    "char *top_copy(const char *text) { return base_copy(text, strlen(text)); }\n",
    "more.c": "int top_helper(int a) { return a * 2; }\n",
    "Makefile": "libover.a: over.o\n\t$(AR) rcs $@ $^\ninstall: libover.a\n"
    + MAKEFILE.format(name="top")
    + "\tcp libover.a $(PREFIX)/lib/\n",
    "COPYING": "free\n",
}
EXPORTS = {
    "base": {"base_table", "base_copy", "base_root", "base_soft"},
    "top": {"top_sum", "top_copy"},
    "over": {"over_twice"},
}
# What the Mach-O linker of the compiler exports by itself; both are names of the file, not of the library.
FORMATS_OWN = {"_mh_dylib_header", "__dso_handle", "__mh_dylib_header", "___dso_handle"}
FLOORS = {"elf": (0, 0), "pe": (6, 0), "macho": None}


def product(name: str) -> dict[str, object]:
    return {"name": name, "archive": f"lib/lib{name}.a", "exports": sorted(EXPORTS[name]), "system": ["m"]}


def recipe(folder: Path, libraries: tuple[str, ...], tree: Mapping[str, str], **more: object) -> LoadedRecipe:
    """A recipe that is called as the first of its libraries."""
    name = libraries[0]
    folder.mkdir(parents=True)
    sha256 = tarball(folder / "source.tar.gz", tree, top=f"{name}-1.0/")
    fields = {
        "format": 1,
        "name": name,
        "kind": "library",
        "summary": "a library of two functions",
        "license": "0BSD",
        "license_files": ["COPYING"],
        "release": [{"version": "1.0", "source": [{"location": [{"url": "file:source.tar.gz", "sha256": sha256}]}]}],
        "build": {"system": "make"},
        "products": {"headers": [f"{name}.h"], "library": [product(each) for each in libraries]},
        "abi": {"epoch": 7},
        **more,
    }
    return LoadedRecipe(recipe=Recipe.model_validate(fields), directory=folder)


@functools.cache
def real() -> Catalog:
    return catalogs.load_from(ROOT)


def catalog_in(folder: Path, platform: str) -> Catalog:
    base = recipe(folder / "recipes/base", ("base",), BASE)
    top = recipe(folder / "recipes/top", ("top", "over"), TOP, requires={"host": ["base"]})
    return Catalog(
        root=folder,
        recipes={"base": base, "top": top},
        toolchains={platform: toolchain(platform)},
        providers={"base": "base", "top": "top"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The two wheels of a platform and the catalog that they come from."""

    catalog: Catalog
    toolchain: Toolchain
    wheels: dict[str, Path]

    def linkage(self, name: str, folder: Path) -> Linkage:
        with ZipFile(self.wheels[name]) as archive:
            archive.extractall(folder / name)
        file = shared_name(name, 7, self.toolchain.binary)
        linkage = formats.read_file(folder / name / f"native_{name}" / "lib" / file)
        assert linkage is not None
        return linkage


def build(home: Path, catalog: Catalog, platform: str) -> Made:
    """Both libraries through the pipeline: built, linked, packed and audited."""
    settings: Settings = places.load(catalog=ROOT, home=home)
    store = Store(settings.store)
    pipeline = Pipeline(catalog=catalog, store=store, settings=settings)
    plan = planner.plan(catalog, Wanted(platforms=(platform,)))
    artifacts: dict[str, Artifact] = {}
    for step in plan.steps:
        deps = {required: artifacts[required] for required in step.requires}
        artifacts[step.id] = pipeline(step, deps, Cancel(), lambda _phase: None)
    wheels = {step.recipe: store.path(artifacts[step.id]) for step in plan.steps}
    return Made(catalog=catalog, toolchain=catalog.toolchains[platform], wheels=wheels)


@pytest.fixture(scope="module", params=PLATFORMS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("farm")
    return build(folder / "home", catalog_in(folder / "catalog", request.param), request.param)


def test_the_name_the_needs_and_the_exports_are_the_farms(made: Made, tmp_path: Path) -> None:
    binary = made.toolchain.binary
    base, top = made.linkage("base", tmp_path), made.linkage("top", tmp_path)
    assert base.format == binary
    assert base.arch == made.toolchain.arch
    assert base.soname == install_name("base", 7, binary)
    assert install_name("base", 7, binary) in top.needed
    system = {name.lower() for name in made.toolchain.system_libraries}
    assert {needed.lower() for needed in (*base.needed, *top.needed)} - {install_name("base", 7, binary)} <= system
    assert {e.name for e in base.exports} - FORMATS_OWN == EXPORTS["base"]
    assert {e.name for e in top.exports} - FORMATS_OWN == EXPORTS["top"]


def test_the_lowest_system_is_the_toolchains(made: Made, tmp_path: Path) -> None:
    linkage = made.linkage("top", tmp_path)
    expected = FLOORS[made.toolchain.binary]
    assert linkage.os_floor == (made.toolchain.floor if expected is None else expected)
    assert not linkage.has_debug_info
    if made.toolchain.libc == "glibc":
        versions = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", v) for vs in linkage.version_needs.values() for v in vs]
        assert all(v and (int(v[1]), int(v[2])) <= made.toolchain.floor for v in versions)
    # Apple silicon refuses code without a signature.
    assert linkage.signed is {"elf": None, "pe": None}.get(made.toolchain.binary, made.toolchain.arch == "arm64")


def test_a_second_build_elsewhere_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    again = build(tmp_path / "another-home", made.catalog, made.toolchain.platform)
    for name, wheel in made.wheels.items():
        assert again.wheels[name].read_bytes() == wheel.read_bytes()


def test_other_programs_link_to_it_by_its_plain_name(made: Made, tmp_path: Path) -> None:
    """``-ltop`` finds the shared name through what the wheel carries: a linker script, an import library, a stub."""
    names = {
        "elf": {"libtop.so"},
        "pe": {"top.lib", "libtop.dll.a"},
        "macho": {"libtop.tbd"},
    }[made.toolchain.binary]
    with ZipFile(made.wheels["top"]) as archive:
        there = {member.removeprefix("native_top/lib/") for member in archive.namelist()}
    assert names <= there
    assert ("libnative_top-nf07.anchor.so" in {n.rpartition("/")[2] for n in there}) == (made.toolchain.binary == "elf")


PROGRAM = """\
#include <base.h>
#include <stdio.h>
#include <top.h>
int main(void)
{
    char *text = top_copy("from top");
    printf("%s %d %.3f %d %d\\n", text, top_sum(), base_root(4.0), base_soft(10), over_twice());
    return base_table[2] == 3 ? 0 : 1;
}
"""


def test_programs_that_use_both_run_on_the_platforms_runner(made: Made, tmp_path: Path) -> None:
    """Compiled as a user would, and run wherever something here runs such programs; else it is said why not."""
    settings = places.load(catalog=ROOT, home=tmp_path / "home")
    tools = toolchains.materialise(made.toolchain, settings)
    work = tmp_path / "work"
    work.mkdir()
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    compiler, environment = toolchains.user_compiler(tools, work, source.parent)
    test = ProgramTest(
        source=source,
        natives=(made.wheels["top"], made.wheels["base"]),
        compiler=compiler,
        environment=environment,
    )
    runner = runners.get(made.toolchain, sysroots=real().sysroots, settings=settings)
    result = runner.run_program(test, work)
    if made.toolchain.run.kind == "inspect":
        assert "inspected only" in result.reason
        return
    assert result.outcome is Outcome.PASSED, result
    assert result.output.splitlines()[-1].split() == ["from", "top", "7", "6.516", "9", "14"]


def test_all_recipes_can_be_planned_for_all_platforms() -> None:
    catalog = real()
    plan = planner.plan(replace(catalog), Wanted(pythons=("cp313",)))
    planned = {(step.recipe, step.platform) for step in plan.steps}
    impossible = {(row.recipe, row.platform): row.reason for row in plan.impossible}
    for name in catalog.recipes:
        for platform in catalog.toolchains:
            assert (name, platform) in planned or impossible[name, platform]
