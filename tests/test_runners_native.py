"""Tests of built wheels on this machine: what passes, what fails and how it is told, what is no verdict."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import native_factory as factory
import pytest
from native_factory import Tiny
from platform_files import toolchain

from farm import runners
from farm.errors import ProcessError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.model.outcome import Outcome
from farm.process import Cancel
from farm.runners import Install, ProgramTest, PythonTest, SuiteTest, mapped
from farm.settings import build_machine

PYTHON = Path(sys.executable)
PLATFORM = "manylinux_2_17_x86_64"
RUNNER = runners.get(toolchain(PLATFORM, arch=build_machine()))
PROGRAM = """
#include <mpfr.h>
#include <stdio.h>
int main(void) {
  mpz_t x; mpz_init(x); mpz_set_ui(x, 12);
  printf("%lu %s\\n", tiny_mpfr_square(x), __gmp_version);
  return tiny_mpfr_square(x) == EXPECTED ? 0 : 3;
}
"""


@pytest.fixture(scope="module")
def natives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, Tiny, str]:
    """native-gmp, native-mpfr, and the URL of an index with both."""
    work = tmp_path_factory.mktemp("natives")
    gmp = factory.tiny_gmp(work)
    mpfr = factory.tiny_mpfr(work, gmp)
    Index(work / "index").publish("staging", [IndexFile(path=tiny.wheel) for tiny in (gmp, mpfr)])
    return gmp, mpfr, (work / "index" / "staging" / "simple").as_uri()


def _python_test(natives: tuple[Tiny, Tiny, str], script: Path, text: str) -> PythonTest:
    script.write_text(text)
    _, mpfr, url = natives
    return PythonTest(install=Install(wheels=(mpfr.wheel,), index_url=url), python=PYTHON, script=script)


def test_script_runs_in_a_fresh_environment_with_what_the_wheel_requires(
    tmp_path: Path, natives: tuple[Tiny, Tiny, str]
) -> None:
    text = (
        "import native_mpfr, sys\nnative_mpfr.load()\nassert 'pytest' not in sys.modules\n"
        "import importlib.util as u\nassert u.find_spec('farm') is None and u.find_spec('pip') is None\nprint('done')"
    )
    result = RUNNER.run_python(_python_test(natives, tmp_path / "smoke.py", text), tmp_path / "work")
    assert (result.outcome, result.reason, result.output) == (Outcome.PASSED, "", "done\n")
    (gmp,) = mapped.copies(result.mapped, "gmp")
    assert gmp.endswith("/native_gmp/lib/libgmp-nf10.so")
    assert mapped.duplicates(result.mapped, ["gmp", "mpfr"]) == {}
    assert list((tmp_path / "work").iterdir()) == []


def test_failing_script_is_told_with_its_last_line(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    text = "import native_mpfr\nnative_mpfr.load()\nassert 1 == 2, 'arithmetic is broken'"
    result = RUNNER.run_python(_python_test(natives, tmp_path / "smoke.py", text), tmp_path)
    assert result.outcome is Outcome.FAILED
    assert result.reason == "exit code 1: AssertionError: arithmetic is broken"
    assert mapped.copies(result.mapped, "mpfr"), "the map is there for failed tests too"


def test_crash_and_timeout_are_told(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    crash = _python_test(natives, tmp_path / "crash.py", "import os; os.kill(os.getpid(), 11)")
    assert RUNNER.run_python(crash, tmp_path).reason == "killed by SIGSEGV"
    slow = replace(_python_test(natives, tmp_path / "slow.py", "import time; time.sleep(60)"), timeout=0.5)
    result = RUNNER.run_python(slow, tmp_path)
    assert result.outcome is Outcome.FAILED
    assert "longer than its limit of 0.5 s" in result.reason


def test_module_that_cannot_be_imported_fails(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = replace(_python_test(natives, tmp_path / "s.py", ""), imports=("native_mpfr", "native_zlib"), script=None)
    assert RUNNER.run_python(test, tmp_path).reason == "exit code 1: ModuleNotFoundError: No module named 'native_zlib'"


def test_requirement_that_the_farms_index_cannot_meet_fails(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    """Nothing is taken from anywhere else, whatever the client is configured with."""
    _, mpfr, _ = natives
    Index(tmp_path / "index").publish("empty", [IndexFile(path=mpfr.wheel)])
    url = (tmp_path / "index" / "empty" / "simple").as_uri()
    test = PythonTest(install=Install(wheels=(mpfr.wheel,), index_url=url), python=PYTHON, imports=("native_mpfr",))
    result = RUNNER.run_python(test, tmp_path / "work")
    assert result.outcome is Outcome.FAILED
    assert "the wheel cannot be installed: No matching distribution found for native-gmp" in result.reason


def test_index_that_does_not_answer_is_no_verdict(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    _, mpfr, _ = natives
    install = Install(wheels=(mpfr.wheel,), index_url="http://127.0.0.1:9/simple")
    result = RUNNER.run_python(PythonTest(install=install, python=PYTHON), tmp_path)
    assert result.outcome is Outcome.NOT_RUN, result


def test_cancelled_run_raises(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    cancel = Cancel()
    test = _python_test(natives, tmp_path / "slow.py", "import time; time.sleep(60)")
    threading.Timer(1.5, cancel.set).start()
    with pytest.raises(ProcessError, match="cancelled"):
        RUNNER.run_python(test, tmp_path / "work", cancel=cancel)


def _program(natives: tuple[Tiny, Tiny, str], source: Path, text: str, *compiler: str) -> ProgramTest:
    source.write_text(text)
    gmp, mpfr, _ = natives
    return ProgramTest(source=source, natives=(mpfr.wheel, gmp.wheel), compiler=compiler or ("gcc",))


def test_program_is_compiled_against_the_wheels_and_run(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = _program(natives, tmp_path / "smoke.c", PROGRAM.replace("EXPECTED", "144"))
    result = RUNNER.run_program(test, tmp_path / "work")
    assert (result.outcome, result.output) == (Outcome.PASSED, "144 6.3.0\n"), result


def test_program_that_fails_or_does_not_compile_is_told(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    wrong = _program(natives, tmp_path / "smoke.c", PROGRAM.replace("EXPECTED", "145"))
    assert RUNNER.run_program(wrong, tmp_path).reason == "exit code 3: 144 6.3.0"
    broken = RUNNER.run_program(_program(natives, tmp_path / "b.c", "#include <mpc.h>"), tmp_path)
    assert broken.outcome is Outcome.FAILED
    assert broken.reason == "b.c does not compile against the native wheel"
    assert "mpc.h" in broken.output


def test_missing_compiler_is_no_verdict(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = _program(natives, tmp_path / "smoke.c", PROGRAM, "no-such-compiler")
    result = RUNNER.run_program(test, tmp_path)
    assert result.outcome is Outcome.NOT_RUN
    assert "no-such-compiler" in result.reason


UNITTEST = """
import sys, unittest
sys.path.insert(0, "")
class Case(unittest.TestCase):
    def test_good(self): import native_mpfr; native_mpfr.load()
    def test_bad(self): self.fail("no")
    @unittest.skip("later")
    def test_later(self): pass
"""


def _suite(natives: tuple[Tiny, Tiny, str], source: Path, *command: str) -> SuiteTest:
    (source / "tests").mkdir(parents=True)
    (source / "native_mpfr").mkdir()
    (source / "native_mpfr" / "__init__.py").write_text("raise ImportError('the source, not the wheel')")
    (source / "tests" / "test_it.py").write_text(UNITTEST)
    _, mpfr, url = natives
    install = Install(wheels=(mpfr.wheel,), index_url=url)
    return SuiteTest(install=install, python=PYTHON, source=source, command=command, copy_paths=("tests",))


def test_upstream_suite_sees_the_wheel_and_is_counted(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = _suite(natives, tmp_path / "source", "{python}", "-m", "unittest", "discover", "-v", "-s", "tests")
    result = RUNNER.run_suite(test, tmp_path / "work")
    assert result.outcome is Outcome.FAILED
    assert result.counts is not None
    assert (result.counts.passed, result.counts.failed, result.counts.skipped) == (1, 1, 1), result.output
    assert len(result.counts.bad) == 1
    assert "test_bad" in result.counts.bad[0]


def test_suite_with_tools_from_the_configured_index(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = _suite(natives, tmp_path / "source", "{python}", "-m", "pytest", "-q", "tests")
    test = replace(test, install=replace(test.install, requires=("pytest",)))
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--of-another-project"\n')
    result = RUNNER.run_suite(test, tmp_path / "work")
    assert result.counts is not None, result
    assert (result.counts.passed, result.counts.failed, result.counts.skipped) == (1, 1, 1)
    assert result.counts.bad == ("tests/test_it.py::Case::test_bad",)


def test_suite_whose_files_are_gone_is_no_verdict(tmp_path: Path, natives: tuple[Tiny, Tiny, str]) -> None:
    test = replace(_suite(natives, tmp_path / "source", "{python}"), copy_paths=("test",))
    result = RUNNER.run_suite(test, tmp_path / "work")
    assert result.outcome is Outcome.NOT_RUN
    assert "copy_paths" in result.reason


def test_platforms_that_do_not_run_here_say_why(tmp_path: Path) -> None:
    test = PythonTest(install=Install(), python=PYTHON)
    foreign = runners.get(toolchain(PLATFORM, arch="s390x")).run_python(test, tmp_path)
    assert foreign.outcome is Outcome.NOT_RUN
    assert "do not run on this" in foreign.reason
    inspected = runners.get(toolchain("macosx_11_0_arm64"))
    for result in (inspected.run_python(test, tmp_path), inspected.run_program(_any_program(tmp_path), tmp_path)):
        assert result.outcome is Outcome.NOT_RUN
        assert "inspected only" in result.reason
    emulated = runners.get(toolchain("manylinux_2_17_aarch64")).run_program(_any_program(tmp_path), tmp_path)
    assert emulated.outcome is Outcome.NOT_RUN
    assert emulated.reason == (
        "there is no sysroot debian-arm64 for manylinux_2_17_aarch64 (write toolchains/sysroots/debian-arm64.toml)"
    )


def _any_program(folder: Path) -> ProgramTest:
    return ProgramTest(source=folder / "x.c", natives=(), compiler=("gcc",))


def test_copies_under_any_name_are_found(tmp_path: Path) -> None:
    maps = "".join(
        f"7f00-7f01 r-xp 00000000 fe:01 {i} {path}\n"
        for i, path in enumerate(
            [
                "/s/native_gmp/lib/libgmp-nf10.so",
                "/s/native_gmp/lib/libgmp-nf10.so",
                "/s/native_gmp/libnative_gmp-nf10.anchor.so",
                "/s/with space/gmpy2.libs/libgmp-a6f47472.so.10.5.0 (deleted)",
                "/usr/lib/libgmpxx.so.4",
                "/usr/lib/libgmp.so.10",
                "[heap]",
            ]
        )
    )
    found = mapped.parse(maps + "7f00-7f01 rw-p 00000000 00:00 0\n")
    assert mapped.duplicates(found, ["gmp", "gmpxx"]) == {
        "gmp": (
            "/s/with space/gmpy2.libs/libgmp-a6f47472.so.10.5.0",
            "/s/native_gmp/lib/libgmp-nf10.so",
            "/usr/lib/libgmp.so.10",
        )
    }


def test_libraries_of_another_process_can_be_read() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.stdin is not None
        assert isinstance(mapped.read(child.pid), dict)
    finally:
        child.communicate(b"\n", timeout=30)


def test_what_the_interpreter_is_linked_to_is_no_second_copy(tmp_path: Path) -> None:
    """Its own libraries lie outside of the environment; what the environment brings is counted."""
    driver = Path(mapped.__file__).with_name("driver.py")
    maps = tmp_path / "maps"
    code = "import runpy, sys; sys.prefix = sys.argv[1]; del sys.argv[:2]; runpy.run_path(sys.argv[0], {}, '__main__')"
    for prefix, is_own in (("/nowhere", True), ("", False)):
        subprocess.run([sys.executable, "-I", "-c", code, prefix, driver, maps, "", "json"], check=True)
        assert ("libc.so.6" not in mapped.parse(maps.read_text())) is is_own
