"""Programs of other platforms, compiled by the farm's own compilers and run here: emulated, by their loader, by Wine.

What these tests need comes through apt's and pip's configuration and stays in the user's cache.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from platform_files import ROOT, sysroots, toolchain

from farm import runners
from farm import settings as farm_settings
from farm.build import testpython
from farm.build import toolchain as toolchains
from farm.catalog import loader
from farm.errors import UnreachableError
from farm.model.outcome import Outcome
from farm.runners import Install, ProgramTest, PythonTest, SmokeResult, SuiteTest
from farm.settings import Settings, build_machine

if build_machine() != "x86_64":
    pytest.skip("the toolchains pin compilers for x86-64 build machines", allow_module_level=True)

WORD_SIZES = {
    "manylinux_2_17_i686": 4,
    "manylinux_2_17_aarch64": 8,
    "manylinux_2_17_ppc64le": 8,
    "manylinux_2_31_riscv64": 8,
    "musllinux_1_2_x86_64": 8,
    "musllinux_1_2_aarch64": 8,
    "win_amd64": 8,
    "win32": 4,
}
PROGRAM = """
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  FILE *f = fopen("left.txt", "w"); /* the scratch directory can be written to */
  if (!f || fclose(f)) return 9;
  printf("%d %.6f\\n", (int) sizeof(void *), sqrt(argc + 1.0));
  fflush(stdout);
  STATEMENT
  return 0;
}
"""


def _settings(folder: Path) -> Settings:
    return farm_settings.load(catalog=folder, home=folder / "home")


def _run(platform: str, folder: Path, statement: str = "", timeout: float = 300) -> SmokeResult:
    """Compile and run the program on its runner."""
    settings, chain = _settings(folder), toolchain(platform)
    try:
        tools = toolchains.materialise(chain, settings)
    except UnreachableError as error:
        pytest.skip(f"the compiler cannot be fetched here: {error.what}")
    work = folder / "work"
    work.mkdir(exist_ok=True)
    compiler, environment = toolchains.user_compiler(tools, work, folder)
    source = folder / "program.c"
    source.write_text(PROGRAM.replace("STATEMENT", statement))
    test = ProgramTest(
        source=source,
        natives=(),
        compiler=compiler,
        environment=environment,
        timeout=timeout,
    )
    result = runners.get(chain, sysroots=sysroots(), settings=settings).run_program(test, work)
    _skip_without_network(result)
    return result


def _skip_without_network(result: SmokeResult) -> None:
    if result.outcome is Outcome.NOT_RUN and "can be reached" in result.reason:
        pytest.skip(result.reason)


@pytest.mark.parametrize("platform", WORD_SIZES)
def test_program_runs_on_its_platform(platform: str, tmp_path: Path) -> None:
    result = _run(platform, tmp_path)
    assert result.outcome is Outcome.PASSED, result
    assert result.output.splitlines()[-1].strip() == f"{WORD_SIZES[platform]} 1.414214"


@pytest.mark.parametrize("platform", ["manylinux_2_17_aarch64", "musllinux_1_2_x86_64", "win_amd64"])
def test_failure_is_a_failure(platform: str, tmp_path: Path) -> None:
    result = _run(platform, tmp_path, "exit(7);")
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("exit code 7"), result


def test_what_wine_lacks_is_no_fault_of_the_wheel(tmp_path: Path) -> None:
    says = 'puts("wine: Call from 0x1234 to unimplemented function ucrtbase.dll.crealf, aborting"); exit(3);'
    result = _run("win_amd64", tmp_path, says)
    assert result.outcome is Outcome.NOT_RUN, result
    assert result.reason == "wine has no ucrtbase.dll.crealf"


@pytest.mark.parametrize("platform", ["manylinux_2_17_aarch64", "win_amd64"])
def test_endless_program_is_killed_with_all_that_it_started(platform: str, tmp_path: Path) -> None:
    result = _run(platform, tmp_path, "for (;;) ;", timeout=8)
    assert result.outcome is Outcome.FAILED
    assert "ran longer than its limit" in result.reason
    assert not [line for line in _command_lines() if str(tmp_path) in line]


def _command_lines() -> list[str]:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue  # it ended meanwhile
    return lines


SCRIPT = """
import platform, subprocess, sys
import iniconfig
again = [sys.executable, "-c", "import iniconfig, platform; print(platform.machine())"]
print(platform.machine(), subprocess.run(again, capture_output=True, text=True, check=True).stdout.strip())
assert sys.prefix != sys.base_prefix
"""


@pytest.mark.parametrize(
    ("platform", "machine"), [("manylinux_2_17_i686", "i686"), ("manylinux_2_17_aarch64", "aarch64")]
)
def test_python_of_the_platform_imports_and_starts_itself_again(platform: str, machine: str, tmp_path: Path) -> None:
    script = tmp_path / "smoke.py"
    script.write_text(SCRIPT)
    test = PythonTest(
        install=Install(requires=("iniconfig",)), version="3.13", imports=("iniconfig", "ssl", "ctypes"), script=script
    )
    runner = runners.get(toolchain(platform), sysroots=sysroots(), settings=_settings(tmp_path))
    result = runner.run_python(test, tmp_path / "work")
    _skip_without_network(result)
    assert result.outcome is Outcome.PASSED, result
    assert result.output.split() == [machine, machine]
    assert any(name.startswith("libffi.so") for name in result.mapped)
    assert not any(name.startswith("libssl.so") for name in result.mapped), "the interpreter's own"


EXTENSION = """
import platform, subprocess, sys
import markupsafe._speedups, ctypes, hashlib, json, math, zipfile, zlib
again = [sys.executable, "-c", "import markupsafe._speedups, platform; print(platform.machine())"]
print(platform.machine(), subprocess.run(again, capture_output=True, text=True, check=True).stdout.strip())
assert zlib.decompress(zlib.compress(b"abc")) == b"abc"
assert ctypes.pythonapi.Py_GetVersion
assert sys.prefix != sys.base_prefix
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("platform", "version", "machine"),
    [
        ("win_amd64", "3.13", "AMD64"),
        ("win32", "3.11", "x86"),
        ("musllinux_1_2_x86_64", "3.13", "x86_64"),
        ("musllinux_1_2_aarch64", "3.13", "aarch64"),
    ],
)
def test_python_that_the_farm_makes_imports_an_extension(
    platform: str, version: str, machine: str, tmp_path: Path
) -> None:
    """In the user's cache for good; made the first time (some seconds for Windows, minutes for musl)."""
    catalog, settings = loader.examine(ROOT.parent)[0], _settings(tmp_path)
    script = tmp_path / "smoke.py"
    script.write_text(EXTENSION)
    test = PythonTest(
        install=Install(requires=("markupsafe",)), version=version, imports=("markupsafe._speedups",), script=script
    )
    maker = testpython.maker(catalog, settings)
    runner = runners.get(toolchain(platform), sysroots=sysroots(), settings=settings, maker=maker)
    result = runner.run_python(test, tmp_path / "work")
    _skip_without_network(result)
    assert result.outcome is Outcome.PASSED, result
    assert result.output.split() == [machine, machine]
    assert any(name.startswith(("_speedups", "python3")) for name in result.mapped)


@pytest.mark.parametrize(
    ("platform", "machine"),
    [
        ("manylinux_2_17_i686", "i686"),
        pytest.param("win_amd64", "AMD64", marks=pytest.mark.slow),
        pytest.param("musllinux_1_2_x86_64", "x86_64", marks=pytest.mark.slow),
    ],
)
def test_suite_of_the_platform_is_counted(platform: str, machine: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "tests").mkdir(parents=True)
    text = (
        f"import platform\ndef test_machine(): assert platform.machine() == '{machine}'\ndef test_no(): assert False\n"
    )
    (source / "tests" / "test_it.py").write_text(text)
    test = SuiteTest(
        install=Install(requires=("pytest",)),
        source=source,
        command=("{python}", "-m", "pytest", "-q", "tests"),
        copy_paths=("tests",),
        version="3.13",
    )
    catalog, settings = loader.examine(ROOT.parent)[0], _settings(tmp_path)
    maker = testpython.maker(catalog, settings)
    runner = runners.get(toolchain(platform), sysroots=sysroots(), settings=settings, maker=maker)
    result = runner.run_suite(test, tmp_path / "work")
    _skip_without_network(result)
    assert result.counts is not None, result
    assert (result.counts.passed, result.counts.failed) == (1, 1)
    assert result.counts.bad == ("tests/test_it.py::test_no",)


def test_python_that_nobody_has_is_not_run(tmp_path: Path) -> None:
    test = PythonTest(install=Install(), version="3.2")
    runner = runners.get(toolchain("manylinux_2_17_aarch64"), sysroots=sysroots(), settings=_settings(tmp_path))
    result = runner.run_python(test, tmp_path / "work")
    assert result.outcome is Outcome.NOT_RUN
    assert "debian-arm64-python3.2" in result.reason


@pytest.mark.parametrize("platform", ["musllinux_1_2_x86_64", "win_amd64"])
def test_python_that_nobody_makes_is_not_run(platform: str, tmp_path: Path) -> None:
    test = PythonTest(install=Install(), version="3.2")
    catalog, settings = loader.examine(ROOT.parent)[0], _settings(tmp_path)
    maker = testpython.maker(catalog, settings)
    runner = runners.get(toolchain(platform), sysroots=sysroots(), settings=settings, maker=maker)
    result = runner.run_python(test, tmp_path / "work")
    assert result.outcome is Outcome.NOT_RUN
    assert f"no cp32 to test with on {platform}" in result.reason
    assert "toolchains/pythons/cp32.toml" in result.reason
