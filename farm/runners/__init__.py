"""How each platform's binaries run on this machine: `get(toolchain)` gives the runner.

A platform that cannot run here has a runner too, whose answer is always `not run` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.runners.host import Host
from farm.runners.kinds import KINDS
from farm.runners.platform import PlatformRunner
from farm.runners.values import (
    Install,
    MadePython,
    Maker,
    ProgramTest,
    PythonTest,
    Runner,
    SmokeResult,
    SuiteTest,
    TestCounts,
)
from farm.settings import Settings, build_machine

__all__ = [
    "Install",
    "MadePython",
    "Maker",
    "ProgramTest",
    "PythonTest",
    "Runner",
    "SmokeResult",
    "SuiteTest",
    "TestCounts",
    "get",
    "takes_own_python",
]


def get(
    toolchain: Toolchain,
    *,
    sysroots: Mapping[str, Sysroot] | None = None,
    settings: Settings | None = None,
    machine: str | None = None,
    maker: Maker | None = None,
) -> Runner:
    """The runner of a platform. `sysroots` are the catalog's, fetched when a test first needs one; `maker` makes the
    Pythons that no sysroot has; `machine` is the build machine's architecture (asked if not given)."""
    host = Host(
        toolchain=toolchain,
        machine=machine or build_machine(),
        sysroots=sysroots or {},
        settings=settings,
        maker=maker,
    )
    return PlatformRunner(host, KINDS[toolchain.run.kind])


def takes_own_python(toolchain: Toolchain) -> bool:
    """Whether Python tests of the platform run by an interpreter of this machine (`PythonTest.python`)."""
    return KINDS[toolchain.run.kind].python is None
