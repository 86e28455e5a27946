"""Build systems find a native wheel: compilers and linkers, pkg-config, CMake, plain flags."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import native_factory as factory
import pytest

from farm.binary import formats

PROGRAM = "#include <mpfr.h>\nunsigned long f(mpz_srcptr x) { return tiny_mpfr_square(x) + mpz_get_ui(x); }\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site directory with native-gmp and native-mpfr, under a path with a space: users have those."""
    work = tmp_path_factory.mktemp("natives")
    gmp = factory.tiny_gmp(work)
    mpfr = factory.tiny_mpfr(work, gmp)
    target = work / "site with space"
    for tiny in (gmp, mpfr):
        shutil.copytree(tiny.site, target, dirs_exist_ok=True)
    return target


def _output(*argv: str | Path, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, **env}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _compile(work: Path, *flags: str, compiler: tuple[str, ...] = ("gcc",)) -> tuple[str, ...]:
    """What a shared object needs that was compiled with these flags."""
    source, target = work / "user.c", work / "user.so"
    source.write_text(PROGRAM)
    _output(*compiler, "-shared", "-fPIC", "-o", target, source, *flags, cwd=work)
    linkage = formats.read_file(target)
    assert linkage is not None
    return tuple(name for name in linkage.needed if "-nf" in name)


def _tool(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found or pytest.skip(f"none of {', '.join(names)} on this machine")


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld", "mold"])
@pytest.mark.parametrize("flag", ["-Wl,--as-needed", "-Wl,--no-as-needed"])
def test_link_name_records_the_shared_name_with_every_linker(
    tmp_path: Path, site: Path, linker: str, flag: str
) -> None:
    if not shutil.which("mold" if linker == "mold" else f"ld.{linker}"):
        pytest.skip(f"no {linker} on this machine")
    include = [f"-I{site}/native_{name}/include" for name in ("gmp", "mpfr")]
    libs = [f"-L{site}/native_{name}/lib" for name in ("gmp", "mpfr")]
    needed = _compile(tmp_path, *include, f"-fuse-ld={linker}", flag, *libs, "-lmpfr", "-lgmp")
    assert needed == ("libmpfr-nf06.so", "libgmp-nf10.so")


def test_unused_libraries_are_left_out_if_the_user_says_so(tmp_path: Path, site: Path) -> None:
    (tmp_path / "x.c").write_text("int x;\n")
    flags = ["-Wl,--as-needed", f"-L{site}/native_gmp/lib", "-lgmp"]
    _output("gcc", "-shared", "-fPIC", "-o", tmp_path / "x.so", tmp_path / "x.c", *flags)
    linkage = formats.read_file(tmp_path / "x.so")
    assert linkage is not None
    assert "libgmp-nf10.so" not in linkage.needed


def test_link_name_can_be_given_as_a_file(tmp_path: Path, site: Path) -> None:
    """CMake's own find modules pass the path of the link name instead of -lgmp."""
    include = [f"-I{site}/native_{name}/include" for name in ("gmp", "mpfr")]
    needed = _compile(tmp_path, *include, f"{site}/native_mpfr/lib/libmpfr.so", f"{site}/native_gmp/lib/libgmp.so")
    assert needed == ("libmpfr-nf06.so", "libgmp-nf10.so")


@pytest.mark.parametrize("program", ["pkg-config", "pkgconf"])
def test_pkg_config_finds_it_and_what_it_needs(tmp_path: Path, site: Path, program: str) -> None:
    tool = _tool(program)
    path = os.pathsep.join(f"{site}/native_{name}/lib/pkgconfig" for name in ("gmp", "mpfr"))
    assert _output(tool, "--modversion", "mpfr", PKG_CONFIG_PATH=path) == "4.2.2"
    assert _output(tool, "--exists", "mpfr >= 4.2", PKG_CONFIG_PATH=path) == ""
    flags = shlex.split(_output(tool, "--cflags", "--libs", "mpfr", PKG_CONFIG_PATH=path))
    assert [flag for flag in flags if flag.startswith("-l")] == ["-lmpfr"]
    libs = shlex.split(_output(tool, "--cflags", "--libs", "mpfr", "gmp", PKG_CONFIG_PATH=path))
    assert _compile(tmp_path, *libs) == ("libmpfr-nf06.so", "libgmp-nf10.so")
    static = shlex.split(_output(tool, "--libs", "--static", "mpfr", PKG_CONFIG_PATH=path))
    assert {"-lmpfr", "-lgmp", "-lm"} <= set(static)


CMAKE = """
cmake_minimum_required(VERSION 3.15)
project(user C)
find_package({spelling} {version} REQUIRED)
add_library(user SHARED user.c)
target_link_libraries(user PRIVATE {targets})
"""


def _cmake(work: Path, site: Path, spelling: str, *, version: str = "", prefix: str = "native_mpfr") -> str:
    (work / "user.c").write_text(PROGRAM)
    (work / "CMakeLists.txt").write_text(
        CMAKE.format(spelling=spelling, version=version, targets="mpfr::mpfr gmp::gmp")
    )
    done = subprocess.run(
        [_tool("cmake"), "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={site / prefix}", "-Wno-dev"],
        capture_output=True,
        text=True,
        cwd=work,
        timeout=120,
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("spelling", ["mpfr", "MPFR"])
def test_cmake_finds_it_in_any_spelling_and_its_dependency_beside_it(tmp_path: Path, site: Path, spelling: str) -> None:
    assert _cmake(tmp_path, site, spelling, version="4.2") == ""
    _output("cmake", "--build", "build", cwd=tmp_path)
    linkage = formats.read_file(tmp_path / "build" / "libuser.so")
    assert linkage is not None
    assert {"libmpfr-nf06.so", "libgmp-nf10.so"} <= set(linkage.needed)


@pytest.mark.parametrize(("version", "found"), [("4.2.2", True), ("4.2.2 EXACT", True), ("5.0", False)])
def test_cmake_compares_upstream_versions(tmp_path: Path, site: Path, version: str, found: bool) -> None:
    assert (_cmake(tmp_path, site, "mpfr", version=version) == "") is found


def test_cmake_says_which_dependency_is_missing(tmp_path: Path, site: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(site / "native_mpfr", alone / "native_mpfr")
    assert "gmp" in _cmake(tmp_path, alone, "mpfr")


def test_plain_flags_for_other_build_systems(tmp_path: Path, site: Path) -> None:
    def ask(*options: str) -> str:
        return _output(sys.executable, "-m", "native_mpfr", *options, PYTHONPATH=str(site))

    flags = shlex.split(ask("--cflags", "--libs"))
    assert _compile(tmp_path, *flags, f"-L{site}/native_gmp/lib", "-lgmp") == ("libmpfr-nf06.so", "libgmp-nf10.so")
    assert ask("--includedir") == f"{site}/native_mpfr/include"
    assert ask("--libdir") == f"{site}/native_mpfr/lib"
    assert ask("--pkgconfigdir").split(os.pathsep) == [f"{site}/native_{n}/lib/pkgconfig" for n in ("mpfr", "gmp")]
    assert ask("--version") == "6!4.2.2"
