"""The runner for binaries of this machine's own kind: nothing stands between them and the kernel."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from farm import process
from farm.errors import BinaryFormatError, MissingToolError, ProcessError
from farm.model.outcome import Outcome
from farm.process import Cancel, Completed
from farm.runners import counts, environment, mapped, program
from farm.runners.environment import Environment, InstallError
from farm.runners.values import Install, ProgramTest, PythonTest, SmokeResult, SuiteTest

_DRIVER = Path(__file__).with_name("driver.py")


class NativeRunner:
    """Fresh virtual environments and plain processes."""

    def run_python(self, test: PythonTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""
        with _scratch(work) as scratch:

            def run(prepared: Environment) -> SmokeResult:
                maps = scratch / "maps"
                script = str(test.script.resolve()) if test.script else ""
                argv = [str(prepared.python), "-I", str(_DRIVER), str(maps), script, *test.imports]
                home = _directory(scratch / "home")
                done = process.run(
                    argv, env=prepared.variables(home), cwd=home, check=False, timeout=test.timeout, cancel=cancel
                )
                libraries = mapped.parse(maps.read_text("utf-8", "surrogateescape")) if maps.exists() else {}
                return _result(done, libraries=libraries)

            return _in_environment(test.install, test.python, scratch, run, cancel)

    def run_program(self, test: ProgramTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""
        with _scratch(work) as scratch:
            return _guarded(lambda: program.run(test, scratch, cancel=cancel), cancel)

    def run_suite(self, test: SuiteTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""
        with _scratch(work) as scratch:
            missing = [path for path in test.copy_paths if not (test.source / path).exists()]
            if missing:
                reason = f"the source has no {', '.join(missing)} (tests.upstream.copy_paths)"
                return SmokeResult(outcome=Outcome.NOT_RUN, reason=reason)

            def run(prepared: Environment) -> SmokeResult:
                place = _copy(test.source, test.copy_paths, scratch / "tests")
                replaced = {"{python}": str(prepared.python), "{source}": str(test.source)}
                argv = [_replace(word, replaced) for word in test.command]
                variables = prepared.variables(_directory(scratch / "home"))
                done = process.run(argv, env=variables, cwd=place, check=False, timeout=test.timeout, cancel=cancel)
                return _result(done, is_suite=True)

            return _in_environment(test.install, test.python, scratch, run, cancel)


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="test-", dir=work, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _in_environment(
    install: Install, python: Path, scratch: Path, run: Callable[[Environment], SmokeResult], cancel: Cancel | None
) -> SmokeResult:
    """Make the environment, then run; whatever goes wrong becomes a result."""

    def work() -> SmokeResult:
        prepared = environment.create(python, scratch / "venv", cancel=cancel)
        environment.fill(prepared, install, scratch, cancel=cancel)
        return run(prepared)

    return _guarded(work, cancel)


def _guarded(work: Callable[[], SmokeResult], cancel: Cancel | None) -> SmokeResult:
    try:
        return work()
    except InstallError as error:
        outcome = Outcome.NOT_RUN if error.is_transient else Outcome.FAILED
        return SmokeResult(outcome=outcome, reason=error.reason, output=error.output)
    except MissingToolError as error:
        return SmokeResult(outcome=Outcome.NOT_RUN, reason=error.what)
    except BinaryFormatError as error:
        return SmokeResult(outcome=Outcome.FAILED, reason=str(error))
    except ProcessError as error:
        if environment.is_cancelled(cancel, error):
            raise
        return SmokeResult(outcome=Outcome.FAILED, reason=error.what, output=error.output)


def _copy(source: Path, paths: tuple[str, ...], target: Path) -> Path:
    target.mkdir()
    for path in paths:
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source / path).is_dir():
            shutil.copytree(source / path, place, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / path, place)
    return target


def _replace(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _result(
    done: Completed, *, is_suite: bool = False, libraries: dict[str, tuple[str, ...]] | None = None
) -> SmokeResult:
    ok = done.returncode == 0
    return SmokeResult(
        outcome=Outcome.PASSED if ok else Outcome.FAILED,
        reason="" if ok else program.why(done),
        output=done.output,
        seconds=done.seconds,
        counts=counts.parse(done.output) if is_suite else None,
        mapped=libraries or {},
    )
