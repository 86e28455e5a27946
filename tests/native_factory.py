"""Tiny native wheels made by `stage_native` from C files of a few lines. Not a test module.

`tiny_gmp` has GMP's names and header layout for the few functions that the projects in tests/external call, so those
can be built against it or against the farm's real native-gmp.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from farm.model import names
from farm.model.binary import BinaryFormat
from farm.wheel.native import NativeDependency, NativeProduct, NativeSpec, StagedWheel, stage_native
from farm.wheel.pack import pack
from farm.wheel.sbom import Component, SourceArchive

PLATFORM = "manylinux_2_17_x86_64"
EPOCH_SECONDS = 1_600_000_000

GMP_H = """
#ifndef TINY_GMP_H
#define TINY_GMP_H
typedef struct { int alloc, size; unsigned long *d; } __mpz_struct;
typedef __mpz_struct mpz_t[1];
typedef __mpz_struct *mpz_ptr;
typedef const __mpz_struct *mpz_srcptr;
#define mpz_init __gmpz_init
#define mpz_clear __gmpz_clear
#define mpz_set_ui __gmpz_set_ui
#define mpz_get_ui __gmpz_get_ui
#define mpz_powm __gmpz_powm
void mpz_init(mpz_ptr); void mpz_clear(mpz_ptr); void mpz_set_ui(mpz_ptr, unsigned long);
unsigned long mpz_get_ui(mpz_srcptr);
void mpz_powm(mpz_ptr, mpz_srcptr, mpz_srcptr, mpz_srcptr);
extern const char * const __gmp_version;
const char *tiny_level(void);
#endif
"""
GMP_C = """
#include "gmp.h"
#include <stdlib.h>
const char * const __gmp_version = "RELEASE";
const char *tiny_level(void) { return "LEVEL"; }
void mpz_init(mpz_ptr x) { x->d = calloc(1, 8); x->alloc = x->size = 1; }
void mpz_clear(mpz_ptr x) { free(x->d); }
void mpz_set_ui(mpz_ptr x, unsigned long v) { *x->d = v; }
unsigned long mpz_get_ui(mpz_srcptr x) { return *x->d; }
void mpz_powm(mpz_ptr r, mpz_srcptr b, mpz_srcptr e, mpz_srcptr m) {
  unsigned long v = 1;
  for (unsigned long i = 0; i < *e->d; i++) v = v * (*b->d % *m->d) % *m->d;
  *r->d = v;
}
"""
MPFR_H = """
#include <gmp.h>
unsigned long tiny_mpfr_square(mpz_srcptr);
"""
MPFR_C = """
#include "mpfr.h"
unsigned long tiny_mpfr_square(mpz_srcptr x) { return mpz_get_ui(x) * mpz_get_ui(x); }
"""


@dataclass(frozen=True)
class Tiny:
    """A native wheel, its unpacked tree, and what it was made from."""

    wheel: Path
    staged: StagedWheel
    spec: NativeSpec

    @property
    def site(self) -> Path:
        return self.staged.tree

    @property
    def package(self) -> Path:
        return self.staged.tree / self.spec.import_name

    def as_dependency(self, lower: str = "") -> NativeDependency:
        return NativeDependency(manifest=self.staged.manifest, lower=lower or self.spec.version)


def compile_library(target: Path, source: str, *flags: str | Path) -> Path:
    """A shared library (or with other flags, a program) from one C source; its soname is its file name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.with_suffix(".c")
    file.write_text(source)
    shared = () if "-no-shared" in flags else ("-shared", "-fPIC", f"-Wl,-soname,{target.name}")
    rest = [str(flag) for flag in flags if flag != "-no-shared"]
    subprocess.run(["gcc", "-O1", *shared, "-o", str(target), str(file), *rest], check=True, timeout=60)
    return target


def make(spec: NativeSpec, work: Path) -> Tiny:
    staged = stage_native(spec, work / "trees" / f"{spec.import_name}-{spec.version}-{spec.platform}")
    wheel = pack(staged.tree, staged.filename, work / "wheels", epoch_seconds=EPOCH_SECONDS)
    return Tiny(wheel=wheel, staged=staged, spec=spec)


def gmp_spec(work: Path, release: str = "6.3.0", *, epoch: int = 10, variant: bool = False) -> NativeSpec:
    """native-gmp, with an x86-64-v3 build if `variant`."""
    build = work / f"build-gmp-{epoch}-{release}"
    headers = build / "include"
    headers.mkdir(parents=True)
    (headers / "gmp.h").write_text(GMP_H)
    (build / "COPYING.LESSERv3").write_text("A licence.\n")
    shared = names.shared_name("gmp", epoch, "elf")
    source = GMP_C.replace("RELEASE", release)
    library = compile_library(build / shared, source.replace("LEVEL", "baseline"), f"-I{headers}")
    levels = {}
    if variant:
        target = build / "x86-64-v3" / shared
        levels["x86-64-v3"] = compile_library(target, source.replace("LEVEL", "x86-64-v3"), f"-I{headers}")
    return NativeSpec(
        name="gmp",
        version=names.native_version(release, 0, epoch),
        baseline="6.2.0",
        platform=PLATFORM,
        format=BinaryFormat.ELF,
        summary="GNU multiple precision arithmetic",
        license="LGPL-3.0-or-later OR GPL-2.0-or-later",
        homepage="https://example.invalid/gmp",
        products=(NativeProduct(link_name="gmp", path=library, variants=levels, replaces=("libgmp.so.10",)),),
        anchor=anchor(build, "native_gmp", epoch, library),
        headers=headers,
        header_globs=("gmp.h",),
        licenses={"COPYING.LESSERv3": build / "COPYING.LESSERv3"},
        introduced={"6.3.0": ("tiny_level",)} if release != "6.2.0" else {},
        sources=(SourceArchive(url="https://example.invalid/gmp.tar.xz", sha256="0" * 64),),
        tools=(Component(name="gcc", version="1", purl="pkg:generic/gcc@1", type="application"),),
    )


def anchor(build: Path, import_name: str, epoch: int, library: Path, *flags: str | Path) -> Path:
    run_path = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib"
    return compile_library(
        build / names.anchor_name(import_name, epoch), "", "-Wl,--no-as-needed", run_path, library, *flags
    )


def tiny_gmp(work: Path, release: str = "6.3.0", *, epoch: int = 10, variant: bool = False) -> Tiny:
    return make(gmp_spec(work, release, epoch=epoch, variant=variant), work)


def tiny_mpfr(work: Path, gmp: Tiny, *, lower: str = "10!6.2.0") -> Tiny:
    """native-mpfr, which needs native-gmp."""
    build = work / "build-mpfr"
    headers = build / "include"
    headers.mkdir(parents=True)
    (headers / "mpfr.h").write_text(MPFR_H)
    shared = names.shared_name("mpfr", 6, "elf")
    flags = (f"-I{headers}", f"-I{gmp.package}/include", f"-L{gmp.package}/lib", "-lgmp")
    run_path = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../../native_gmp/lib"
    library = compile_library(build / shared, MPFR_C, *flags, run_path)
    spec = replace(
        gmp.spec,
        name="mpfr",
        version="6!4.2.2",
        baseline="4.2.0",
        summary="Multiple precision floating point",
        products=(NativeProduct(link_name="mpfr", path=library, system=("m",)),),
        anchor=anchor(build, "native_mpfr", 6, library, f"-Wl,-rpath-link,{gmp.package}/lib"),
        headers=headers,
        header_globs=("*.h",),
        introduced={},
        dependencies=(gmp.as_dependency(lower),),
    )
    return make(spec, work)
