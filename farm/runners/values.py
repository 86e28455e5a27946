"""What a runner is asked, and what it answers. Results are values: a test that fails is no exception."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from farm.model.outcome import Outcome
from farm.model.toolchain import Toolchain
from farm.process import Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCounts:
    """How many tests of a suite ended how, and the names of those that did not pass, sorted."""

    __test__ = False

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    bad: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeResult:
    """`reason` says in a sentence why it did not pass; `output` is what the test printed; `seconds` is its wall time.

    `counts` are given for suites of pytest and unittest. `mapped`: shared library file name -> the files of that name
    that were in the process's memory when a Python test ended (Linux).
    """

    outcome: Outcome
    reason: str = ""
    output: str = ""
    seconds: float = 0.0
    counts: TestCounts | None = None
    mapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What goes into the fresh environment of a test.

    First `wheels` (files) with everything they require, from `index_url` (the farm's index) alone unless `only_farm` is
    false; with no `index_url` from the client's configured index. Then `requires` (PEP 508: test tools) from the
    configured index, with the farm's as an extra one; they cannot replace what is there.
    """

    wheels: tuple[Path, ...] = ()
    index_url: str = ""
    only_farm: bool = True
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTest:
    """A script (`smoke.py`), after the import of `imports`.

    It runs by `python`, an interpreter of this machine, where the platform is its own; elsewhere by the platform's own
    Python of `version` (``3.13``).
    """

    install: Install
    python: Path = Path()
    version: str = ""
    imports: tuple[str, ...] = ()
    script: Path | None = None
    timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTest:
    """A C program (`smoke.c`) against native wheels; the first of `natives` is the one under test, the others are what
    it requires. `compiler` is the toolchain's `cc` (or `c++`) with leading arguments, `environment` what it needs."""

    source: Path
    natives: tuple[Path, ...]
    compiler: tuple[str, ...]
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTest:
    """Upstream's own tests: `copy_paths` of the unpacked source are copied into an empty directory, where `command`
    runs with ``{python}`` and ``{source}`` replaced. `python` and `version` are as in `PythonTest`."""

    install: Install
    source: Path
    command: tuple[str, ...]
    python: Path = Path()
    version: str = ""
    copy_paths: tuple[str, ...] = ()
    timeout: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePython:
    """A platform's Python that the farm made itself, in a directory of this machine that holds all of it."""

    root: Path
    executable: Path


Maker = Callable[[Toolchain, str, Cancel | None], MadePython]
"""Makes the Python of a platform and a version (``3.13``), or finds it made already. Raises MissingToolError if there
is none, UnreachableError or SourceError if its parts cannot be had."""


class Runner(Protocol):
    """How one platform's binaries run here. `work` is a directory for scratch files, which are removed.

    None of these raises because of the thing under test; ProcessError comes only from a cancelled run.
    """

    def run_python(self, test: PythonTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """Install, import, run a script."""
        ...

    def run_program(self, test: ProgramTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """Compile, link and run a C program."""
        ...

    def run_suite(self, test: SuiteTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:
        """Install, then run upstream's tests."""
        ...
