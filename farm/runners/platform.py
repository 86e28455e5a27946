"""The one runner: what differs per platform is how programs and Pythons are started, which its kind says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from farm import process
from farm.errors import BinaryFormatError, MissingToolError, ProcessError, SourceError
from farm.model.outcome import Outcome
from farm.process import Cancel, Completed
from farm.runners import counts, environment, mapped, program
from farm.runners.environment import Environment, InstallError
from farm.runners.host import Host
from farm.runners.kinds import Kind
from farm.runners.values import ProgramTest, PythonTest, SmokeResult, SuiteTest

_DRIVER = Path(__file__).with_name("driver.py")


class PlatformRunner:
    """Fresh environments and processes, started as the platform's kind says."""

    def __init__(self, host: Host, kind: Kind) -> None:
        self._host = host
        self._kind = kind

    def run_python(self, test: PythonTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""

        def run(prepared: Environment, scratch: Path) -> SmokeResult:
            maps = scratch / "maps"
            script = str(_shown(test.script, scratch)) if test.script else ""
            argv = [str(prepared.python), "-I", str(_shown(_DRIVER, scratch)), str(maps), script, *test.imports]
            home = _directory(scratch / "home")
            done = process.run(
                argv, env=prepared.variables(home), cwd=home, check=False, timeout=test.timeout, cancel=cancel
            )
            libraries = mapped.parse(maps.read_text("utf-8", "surrogateescape")) if maps.exists() else {}
            return _result(done, libraries=libraries)

        return self._in_environment(test, work, run, cancel)

    def run_program(self, test: ProgramTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""
        shape = program.SHAPES[self._host.toolchain.binary]

        def run() -> SmokeResult:
            launcher = self._kind.program(self._host, cancel)
            with _scratch(work) as scratch:
                return self._judged(program.run(test, scratch, launcher=launcher, shape=shape, cancel=cancel))

        return _guarded(run, cancel)

    def run_suite(self, test: SuiteTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """See `Runner`."""
        missing = [path for path in test.copy_paths if not (test.source / path).exists()]
        if missing:
            reason = f"the source has no {', '.join(missing)} (tests.upstream.copy_paths)"
            return SmokeResult(outcome=Outcome.NOT_RUN, reason=reason)

        def run(prepared: Environment, scratch: Path) -> SmokeResult:
            place = _copy(test.source, test.copy_paths, scratch / "tests")
            # pytest looks upwards for options until it finds a file like this: those of the project that FARM_HOME
            # lies in are not the suite's
            (scratch / "pytest.ini").touch()
            replaced = {"{python}": str(prepared.python), "{source}": str(test.source)}
            argv = [_replace(word, replaced) for word in test.command]
            variables = prepared.variables(_directory(scratch / "home"))
            done = process.run(argv, env=variables, cwd=place, check=False, timeout=test.timeout, cancel=cancel)
            return _result(done, is_suite=True)

        return self._in_environment(test, work, run, cancel)

    def _in_environment(
        self,
        test: PythonTest | SuiteTest,
        work: Path,
        run: Callable[[Environment, Path], SmokeResult],
        cancel: Cancel | None,
    ) -> SmokeResult:
        """Make the environment, then run; whatever goes wrong becomes a result."""

        def make_and_run() -> SmokeResult:
            with _scratch(work) as scratch:
                prepared = self._environment(test, scratch, cancel)
                environment.fill(prepared, test.install, scratch, cancel=cancel)
                return self._judged(run(prepared, scratch))

        return _guarded(make_and_run, cancel)

    def _judged(self, result: SmokeResult) -> SmokeResult:
        """What fails because the runner lacks something says nothing of the wheel."""
        lacks = self._kind.lacks.search(result.output) if self._kind.lacks else None
        if lacks is None or result.outcome is not Outcome.FAILED:
            return result
        return replace(result, outcome=Outcome.NOT_RUN, reason=f"{self._host.toolchain.run.kind} has no {lacks[1]}")

    def _environment(self, test: PythonTest | SuiteTest, scratch: Path, cancel: Cancel | None) -> Environment:
        if self._kind.python is None:
            self._kind.program(self._host, cancel)  # says why not, if they do not run here
            return environment.create(test.python, scratch / "venv", cancel=cancel)
        interpreter = self._kind.python(self._host, test.version, cancel)
        return environment.create_foreign(interpreter, scratch / "venv", scratch)


def _shown(file: Path, scratch: Path) -> Path:
    """A copy where a sandbox sees it."""
    return Path(shutil.copyfile(file, scratch / file.name))


@contextmanager
def _scratch(work: Path) -> Iterator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="test-", dir=work, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _guarded(work: Callable[[], SmokeResult], cancel: Cancel | None) -> SmokeResult:
    try:
        return work()
    except InstallError as error:
        outcome = Outcome.NOT_RUN if error.is_transient else Outcome.FAILED
        return SmokeResult(outcome=outcome, reason=error.reason, output=error.output)
    except (MissingToolError, SourceError) as error:
        fix = f" ({error.fix})" if error.fix else ""
        return SmokeResult(outcome=Outcome.NOT_RUN, reason=f"{error.what}{fix}")
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
