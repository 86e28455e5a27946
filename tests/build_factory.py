"""Small libraries with real sources for builds, and hostile archives. Not a test module."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from farm import settings as places
from farm.build.systems.base import Job
from farm.catalog.values import LoadedRecipe
from farm.model.plan import Step
from farm.model.recipe import Build, Recipe
from farm.model.toolchain import Toolchain
from farm.settings import Settings

ROOT = Path(__file__).parent.parent
PLATFORM = "manylinux_2_17_x86_64"

TINY_C = """\
#include "tiny.h"
static int hidden(int a) { return a + 1; }
int tiny_internal(int a) { return hidden(a); }
int tiny_next(int a) { return tiny_internal(a); }
const char *tiny_file(void) { return __FILE__; }
int other_symbol(void) { return 0; }
#ifdef __AVX2__
int tiny_level(void) { return 3; }
#else
int tiny_level(void) { return 1; }
#endif
"""
TINY_H = "int tiny_next(int);\nint tiny_level(void);\nconst char *tiny_file(void);\n"
MAKEFILE = """\
libtiny.a: tiny.o
\t$(AR) rcs $@ $<
install: libtiny.a
\tmkdir -p $(PREFIX)/lib $(PREFIX)/include
\tcp libtiny.a $(PREFIX)/lib/
\tcp tiny.h $(PREFIX)/include/
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.15)
project(tiny C CXX)
add_library(tiny tiny.c)
install(TARGETS tiny ARCHIVE DESTINATION lib)
install(FILES tiny.h DESTINATION include)
"""
TREE = {"tiny.c": TINY_C, "tiny.h": TINY_H, "Makefile": MAKEFILE, "CMakeLists.txt": CMAKE, "COPYING": "free\n"}


def toolchain() -> Toolchain:
    return Toolchain(**tomllib.loads((ROOT / "toolchains" / f"{PLATFORM}.toml").read_text()))


def job(toolchain: Toolchain, *, jobs: int = 2, **build: object) -> Job:
    """What a build system is told inside the sandbox; `build` is the recipe's table."""
    return Job(
        build=Build.model_validate(build),
        toolchain=toolchain,
        build_triple="x86_64-pc-linux-gnu",
        source="/farm/src",
        work="/farm/work",
        prefix="/farm/prefix",
        deps="/farm/deps",
        toolchain_dir="/farm/toolchain",
        packages=("/farm/deps/native_gmp",),
        jobs=jobs,
    )


def settings(home: Path, *, sandbox: bool = True) -> Settings:
    """A home of its own, the user's cache: the compiler is fetched and warmed once per machine."""
    return places.load(catalog=ROOT, home=home, sandbox=sandbox)


def tarball(path: Path, tree: Mapping[str, str], *, top: str = "tiny-1.0/") -> str:
    """Write a .tar.gz of text files; returns its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in tree.items():
            info = tarfile.TarInfo(top + name)
            info.size, info.mtime = len(text), 1_600_000_000
            tar.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A tar with exactly these members."""
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def member(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def tiny(folder: Path, *, tree: Mapping[str, str] = TREE, **changes: object) -> LoadedRecipe:
    """A recipe of the library `tiny` in `folder`, its source beside it; `changes` replace fields."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = tarball(folder / "tiny-1.0.tar.gz", tree)
    source = {"location": [{"url": "file:tiny-1.0.tar.gz", "sha256": sha256}]}
    fields: dict[str, object] = {
        "format": 1,
        "name": "tiny",
        "kind": "library",
        "summary": "a tiny library",
        "license": "0BSD",
        "license_files": ["COPYING"],
        "release": [{"version": "1.0", "source": [source]}],
        "build": {"system": "make"},
        "products": {"library": [{"name": "tiny", "archive": "lib/libtiny.a", "exports": ["tiny_*"]}]},
        "abi": {"epoch": 1},
    }
    return LoadedRecipe(recipe=Recipe.model_validate({**fields, **changes}), directory=folder)


def step(recipe: LoadedRecipe) -> Step:
    name, version = recipe.recipe.name, recipe.recipe.current.version
    return Step(
        id=f"{name}@{version}/{PLATFORM}",
        slot=f"{name}/{PLATFORM}",
        recipe=name,
        version=version,
        platform=PLATFORM,
        kind="library",
        python=None,
        requires=(),
        key="0" * 64,
        inputs=(),
    )
