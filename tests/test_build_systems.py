"""Build systems and the link, as the commands they come to."""

from __future__ import annotations

from dataclasses import replace

import build_factory
import pytest
from build_factory import toolchain
from pydantic import ValidationError

from farm.build import link_elf
from farm.build.link import Dependency, LinkJob
from farm.build.systems import SYSTEMS, Job
from farm.errors import CatalogError
from farm.model.native import NativeLibrary, NativeManifest
from farm.model.recipe_product import LibraryProduct


def job(**build: object) -> Job:
    return build_factory.job(toolchain(), jobs=3, **{"system": "autotools", **build})


def test_autotools_makes_static_position_independent_libraries() -> None:
    args = ["--with-gmp={deps}/native_gmp", "--enable-fat"]
    configure, make, install = SYSTEMS["autotools"].commands(job(args=args, make=["-C", "src"]))
    assert configure.argv[:2] == ("sh", "/farm/src/configure")
    assert {"--disable-shared", "--enable-static", "--with-pic", "--prefix=/farm/prefix"} <= set(configure.argv)
    assert configure.argv[-2:] == ("--with-gmp=/farm/deps/native_gmp", "--enable-fat")
    assert make.argv == ("make", "-j3", "-C", "src")
    assert install.argv == ("make", "install")
    assert {c.cwd for c in (configure, make, install)} == {"/farm/work"}
    assert SYSTEMS["autotools"].commands(job(in_tree=True))[0].cwd == "/farm/src"


def test_cmake_finds_nothing_but_the_packages() -> None:
    configure, build, install = SYSTEMS["cmake"].commands(job(args=["-DX=ON"], make=["-v"]))
    assert "-DCMAKE_TOOLCHAIN_FILE=/farm/toolchain/cmake.toolchain" in configure.argv
    assert "-DBUILD_SHARED_LIBS=OFF" in configure.argv
    assert configure.argv[-1] == "-DX=ON"
    assert build.argv == ("cmake", "--build", "/farm/work", "--parallel", "3", "--", "-v")
    assert install.phase == "install"


def test_meson_fetches_nothing() -> None:
    setup, *_ = SYSTEMS["meson"].commands(job())
    assert {"--wrap-mode=nodownload", "--default-library=static", "--cross-file=/farm/toolchain/meson.cross"} <= set(
        setup.argv
    )


def test_a_script_has_to_be_there() -> None:
    (only,) = SYSTEMS["script"].commands(job(script="make", args=["{triple}"]))
    assert only.argv == ("sh", "-eu", "-c", "make", "build.script", "x86_64-pc-linux-gnu")
    assert only.env["PREFIX"] == "/farm/prefix"
    with pytest.raises(CatalogError, match="script: is empty"):
        SYSTEMS["script"].commands(job())


GMP = Dependency(
    root="/farm/deps/native_gmp",
    manifest=NativeManifest(
        name="gmp",
        distribution="native-gmp",
        import_name="native_gmp",
        version="10!6.3.0",
        abi_epoch=10,
        baseline="6.3.0",
        platform="manylinux_2_17_x86_64",
        anchor="a",
        library=(NativeLibrary(link_name="gmp", shared_name="libgmp-nf10.so", path="lib/libgmp-nf10.so"),),
    ),
)
MPFR = LinkJob(
    product=LibraryProduct(name="mpfr", archive="lib/libmpfr.a", exports=("mpfr_*", "__gmpfr_*"), system=("m",)),
    epoch=6,
    toolchain=toolchain(),
    archive="/farm/prefix/lib/libmpfr.a",
    out="/farm/out",
    exports="/farm/out/mpfr.map",
    deps=(GMP,),
    earlier=(),
)


def test_the_link_names_the_library_and_finds_its_neighbours() -> None:
    argv = link_elf.LINKER.command(MPFR, True).argv
    assert argv[:4] == ("cc", "-shared", "-o", "/farm/out/libmpfr-nf06.so")
    assert "-Wl,-soname,libmpfr-nf06.so" in argv
    assert "-Wl,-rpath,$ORIGIN/../../native_gmp/lib" in argv
    assert argv.index("-Wl,--as-needed") < argv.index("-lgmp") < argv.index("-lm")
    assert argv[-1] == "-Wl,-s"
    assert link_elf.LINKER.command(MPFR, False).argv == argv[:-1]


def test_a_variant_lies_two_directories_deeper() -> None:
    argv = link_elf.LINKER.command(replace(MPFR, level="x86-64-v3"), True).argv
    assert "-Wl,-rpath,$ORIGIN/../../../../native_gmp/lib" in argv
    assert "-Wl,-soname,libmpfr-nf06.so" in argv


def test_a_library_in_cxx_is_linked_by_the_cxx_driver() -> None:
    product = LibraryProduct(name="x", archive="lib/libx.a", exports=("*",), system=("c++", "m"))
    argv = link_elf.LINKER.command(replace(MPFR, product=product), True).argv
    assert argv[0] == "c++"
    assert "-lc++" not in argv


def test_exports_are_globs() -> None:
    assert link_elf.version_script(["mpfr_*"]) == "{\n  global:\n    mpfr_*;\n  local: *;\n};\n"
    assert "local" not in link_elf.version_script(["*"])
    with pytest.raises(ValidationError, match="exports"):  # a recipe cannot say it
        LibraryProduct(name="x", archive="lib/libx.a", exports=("a; local: b",))
