"""Public names with a prefix or suffix as users of this machine meet them: compilers, pkg-config, CMake, the loader."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from named_toy import (
    MODULE_TOTAL,
    PRINTED,
    PROGRAM,
    PUBLIC,
    Made,
    build,
    compiler,
    pkg_config,
    products,
    recipe,
    top,
    user,
)

from farm.binary import formats
from farm.wheel import native_manifest

LINUX = "manylinux_2_17_x86_64"
V3 = {"level": "x86-64-v3", "platform": ["manylinux_*_x86_64"], "cflags": ["-march=x86-64-v3"]}
PREFIXED = {"symbol_prefix": "my_"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """native-toy with a prefix, for two levels of processors, and native-top, which is linked to it."""
    folder = tmp_path_factory.mktemp("farm")
    toy = recipe(folder / "recipes/toy", products=products(**PREFIXED), variant=[V3])
    return build(folder / "home", LINUX, toy, top(folder / "recipes/top"))


@pytest.fixture(scope="module")
def site(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.site(tmp_path_factory.mktemp("site"))


def run(program: Path, site: Path) -> list[str]:
    paths = ":".join(str(folder) for folder in site.glob("native_*/lib"))
    done = subprocess.run([program], env={"LD_LIBRARY_PATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def dynamic(library: Path) -> set[str]:
    listed = subprocess.check_output(["nm", "-D", "--defined-only", library], text=True)
    return {line.split()[-1] for line in listed.splitlines()}


def test_nm_shows_the_public_names_alone(made: Made, site: Path) -> None:
    assert dynamic(made.library(site)) == {f"my_{name}" for name in PUBLIC}


@pytest.mark.parametrize("pie", ["-no-pie", "-pie"])
def test_pkg_config_is_enough_for_gcc(site: Path, tmp_path: Path, pie: str) -> None:
    """Without PIE the program has a copy of the table, of the size that the library's symbol says."""
    (tmp_path / "program.c").write_text(PROGRAM)
    flags = pkg_config(site, "--cflags", "--libs", "top", "toy")
    assert flags[flags.index("-include") + 1] == "native_toy_symbols.h"
    subprocess.run(["gcc", pie, "-Wall", "-Werror", "program.c", *flags, "-o", "program"], cwd=tmp_path, check=True)
    assert run(tmp_path / "program", site) == PRINTED


def test_pkg_config_is_enough_for_zig(made: Made, tmp_path: Path) -> None:
    site = made.site(tmp_path / "site")  # what the walls around the compiler show
    (tmp_path / "program.c").write_text(PROGRAM)
    command, environment = compiler(made, tmp_path / "work", tmp_path)
    flags = pkg_config(site, "--cflags", "--libs", "top", "toy")
    argv = [*command, str(tmp_path / "program.c"), *flags, "-o", "program"]
    subprocess.run(argv, cwd=tmp_path / "work", env={**environment, "PATH": "/usr/bin:/bin"}, check=True)
    assert run(tmp_path / "work/program", site) == PRINTED


def test_cxx_and_the_wheels_own_program_know_it(site: Path, tmp_path: Path) -> None:
    (tmp_path / "program.cc").write_text('extern "C" {\n' + PROGRAM.replace("int main", "}\nint main"))
    flags = subprocess.check_output(
        ["python3", "-m", "native_toy", "--cflags", "--libs"],
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin"},
        text=True,
    ).split()
    more = pkg_config(site, "--cflags", "--libs", "top")
    subprocess.run(["g++", "program.cc", *more, *flags, "-o", "program"], cwd=tmp_path, check=True)
    assert run(tmp_path / "program", site) == PRINTED


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
@pytest.mark.parametrize("targets", ["toy::toy top::top", "top::top toy::toy", "top::top"])
def test_cmake_is_enough(site: Path, tmp_path: Path, targets: str) -> None:
    """top's header includes toy's: who asks for top alone compiles with toy's names, too."""
    (tmp_path / "program.c").write_text(PROGRAM if "toy" in targets else _TOP_ALONE)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(user C)\n"
        "find_package(toy REQUIRED)\nfind_package(top REQUIRED)\n"
        f"add_executable(program program.c)\ntarget_link_libraries(program PRIVATE {targets})\n"
    )
    prefixes = ";".join(str(folder) for folder in site.glob("native_*") if folder.suffix != ".dist-info")
    subprocess.run(["cmake", ".", f"-DCMAKE_PREFIX_PATH={prefixes}"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "."], cwd=tmp_path, check=True, capture_output=True)
    assert run(tmp_path / "program", site) == (PRINTED if "toy" in targets else ["18"])


_TOP_ALONE = (
    '#include <top.h>\n#include <stdio.h>\nint main(void) { printf("%d\\n", top_total(1)); return !toy_add; }\n'
)
_TOP_ALONE = _TOP_ALONE.replace("return !toy_add", "return sizeof(toy_table) != 16")


def test_programs_may_write_the_public_names_themselves(site: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(
        "int my_toy_add(int, int);\nint toy_add;\nint main(void) { return my_toy_add(0, 0); }\n"
    )
    flags = pkg_config(site, "--cflags", "--libs", "toy")
    subprocess.run(["gcc", "-DNATIVE_TOY_NO_SYMBOLS", "program.c", *flags, "-o", "program"], cwd=tmp_path, check=True)
    assert run(tmp_path / "program", site) == []
    assert "toy_add" in subprocess.check_output(["nm", tmp_path / "program"], text=True).split()


_TWO = """\
import ctypes, sys
handles = [ctypes.CDLL(path, ctypes.RTLD_GLOBAL) for path in sys.argv[1:]]
for handle, prefix in zip(handles, ("my_", "")):
    table = (ctypes.c_int * 4).in_dll(handle, prefix + "toy_table")
    table[0] = 100 if prefix else 1000
    print(getattr(handle, prefix + "toy_sum_of_the_whole_table")(0), getattr(handle, prefix + "LAPACKE_dgesv")(0))
"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_copies_in_one_process_leave_each_other_alone(
    made: Made, site: Path, tmp_path: Path, order: tuple[int, int]
) -> None:
    """One with and one without a prefix, both open to all the process: each calls its own functions and has its own
    data."""
    plain = build(tmp_path / "home", LINUX, recipe(tmp_path / "recipe"))
    copies = [made.library(site), plain.library(plain.site(tmp_path / "plain"))]
    other = tmp_path / "another-name.so"
    shutil.copyfile(copies[1], other)
    copies[1] = other
    code = _TWO.replace('("my_", "")', str(tuple(("my_", "")[i] for i in order)))
    script = tmp_path / "two.py"
    script.write_text(code)
    done = subprocess.run(
        ["python3", script, *(copies[i] for i in order)], capture_output=True, text=True, env={"PATH": "/usr/bin"}
    )
    assert done.returncode == 0, done.stderr
    by_prefix = dict(zip(order, done.stdout.splitlines(), strict=False))
    assert by_prefix == {0: "114 100", 1: "1014 1000"}


def test_every_level_has_the_public_names(made: Made, site: Path) -> None:
    baseline_file = made.library(site)
    variant = baseline_file.parent / "glibc-hwcaps/x86-64-v3" / baseline_file.name
    assert dynamic(variant) == dynamic(baseline_file)
    assert variant.read_bytes() != baseline_file.read_bytes()


def test_the_wheel_says_its_names(site: Path) -> None:
    (file,) = site.glob("native_toy*.dist-info/native.json")
    said = native_manifest.parse(file.read_bytes(), "native.json")
    assert (said.library[0].symbol_prefix, said.symbols_header) == ("my_", "native_toy_symbols.h")
    header = (site / "native_toy/include/native_toy_symbols.h").read_text()
    assert [line for line in header.splitlines() if line.startswith("#define toy_add ")] == [
        "#define toy_add my_toy_add"
    ]
    (metadata,) = site.glob("native_toy*.dist-info/METADATA")
    assert "-include native_toy_symbols.h" in metadata.read_text()
    (other,) = site.glob("native_top*.dist-info/native.json")
    assert b"symbol" not in other.read_bytes()


def test_an_extension_module_is_built_and_repaired_as_ever(tmp_path: Path) -> None:
    """Its sources, its setup.py and its recipe know of no other names; its requirement is computed from them."""
    toy = recipe(tmp_path / "recipes/toy", products=products(**PREFIXED))
    made = build(tmp_path / "home", LINUX, toy, user(tmp_path / "recipes/user"))
    site = made.site(tmp_path / "site")
    (module,) = site.glob("user/_core*.so")
    linkage = formats.read_file(module)
    assert linkage is not None
    assert linkage.needed[0] == "libtoy-nf04.so"
    wanted = {"my_toy_sum_of_the_whole_table", "my_toy_pick", "my_toy_table"}
    assert {symbol.name for symbol in linkage.imports if "toy" in symbol.name} == wanted
    (metadata,) = site.glob("user-*.dist-info/METADATA")
    assert "Requires-Dist: native-toy>=4!1.0,<5!0\n" in metadata.read_text().replace(", ", ",")
    code = "import user; print(user.total())"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(site)}, capture_output=True, text=True)
    assert done.stdout.split() == [str(MODULE_TOTAL)], done.stderr


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_tells_microsofts_compiler_in_its_words(site: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text("int main(void) { return 0; }\n")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(user C)\nset(MSVC TRUE)\nfind_package(toy REQUIRED)\n"
        "add_executable(program program.c)\ntarget_link_libraries(program PRIVATE toy::toy)\n"
    )
    options = [f"-DCMAKE_PREFIX_PATH={site}/native_toy", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    subprocess.run(["cmake", ".", *options], cwd=tmp_path, check=True, capture_output=True)
    (command,) = json.loads((tmp_path / "compile_commands.json").read_text())
    assert "/FInative_toy_symbols.h" in command["command"].split()
    assert "-include" not in command["command"].split()
