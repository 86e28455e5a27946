"""How each platform's binaries run on this machine: `get(toolchain)` gives the runner, one value per kind.

A platform that cannot run here has a runner too, whose answer is always `not run` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from farm.model.outcome import Outcome
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.runners.native import NativeRunner
from farm.runners.values import (
    Install,
    ProgramTest,
    PythonTest,
    Runner,
    SmokeResult,
    SuiteTest,
    TestCounts,
)
from farm.settings import build_machine, on_linux

__all__ = [
    "Install",
    "ProgramTest",
    "PythonTest",
    "Runner",
    "SmokeResult",
    "SuiteTest",
    "TestCounts",
    "get",
]


class NoRunner:
    """Stands for a platform whose binaries do not run here."""

    def __init__(self, reason: str) -> None:
        self._result = SmokeResult(outcome=Outcome.NOT_RUN, reason=reason)

    def run_python(self, test: PythonTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:  # noqa: ARG002
        """Always `not run`."""
        return self._result

    def run_program(self, test: ProgramTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:  # noqa: ARG002
        """Always `not run`."""
        return self._result

    def run_suite(self, test: SuiteTest, work: Path, *, cancel: Cancel | None = None) -> SmokeResult:  # noqa: ARG002
        """Always `not run`."""
        return self._result


def _native(toolchain: Toolchain, here: str) -> Runner:
    if on_linux() and toolchain.os == "linux" and toolchain.arch == here:
        return NativeRunner()
    return NoRunner(f"{toolchain.platform} binaries do not run on this {here} machine")


def _inspect(toolchain: Toolchain, _here: str) -> Runner:
    return NoRunner(f"{toolchain.platform} binaries are inspected only: no machine here runs them")


KINDS: dict[str, Callable[[Toolchain, str], Runner]] = {"native": _native, "inspect": _inspect}
"""Kind of a toolchain's `[run]` table -> what makes one, given the toolchain and the build machine's architecture."""


def get(toolchain: Toolchain, *, machine: str | None = None) -> Runner:
    """The runner of a platform. `machine` is the build machine's architecture (asked if not given)."""
    kind = toolchain.run.kind
    make = KINDS.get(kind)
    if make is None:
        return NoRunner(f"this version of the farm has no runner of kind {kind!r} for {toolchain.platform}")
    return make(toolchain, machine or build_machine())
