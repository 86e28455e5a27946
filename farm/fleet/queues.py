"""Queues: what a worker must be able to do to take a job.

``build`` and ``build.large`` (a machine with memory and time to spare) are for every Linux machine: builds are cross
builds. ``test.<runner>`` is for machines that run a platform's programs; a runner that needs no emulator needs the
platform's own system and processor, and says so: ``test.native-macos-arm64``. What a pull request proposes goes to
queues of its own, whose workers hold other credentials: ``pr.build``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from farm.errors import UsageError
from farm.fleet.order import Right
from farm.model.toolchain import Toolchain

BUILD = "build"
LARGE = "build.large"
_LARGE_SECONDS = 1200.0  # of processor time
_TESTS = ("native-ld", "qemu", "musl", "wine", "inspect")  # runners that any Linux machine can have
_NATIVE = re.compile(r"native-\w+-\w+", re.ASCII)
_PREFIX: dict[Right, str] = {"build": "", "pr": "pr."}


def of_build(right: Right, cpu_seconds: float | None) -> str:
    """The queue of a build that usually costs so much processor time; None: not known."""
    return _PREFIX[right] + (LARGE if (cpu_seconds or 0.0) >= _LARGE_SECONDS else BUILD)


def of_test(right: Right, toolchain: Toolchain) -> str:
    """The queue of a test on a platform."""
    kind = toolchain.run.kind
    where = f"-{toolchain.os}-{toolchain.arch}" if kind == "native" else ""
    return f"{_PREFIX[right]}test.{kind}{where}"


def of_machine(right: Right, machine: str) -> tuple[str, ...]:
    """All that a Linux machine of this architecture can do."""
    names = (BUILD, LARGE, f"test.native-linux-{machine}", *(f"test.{kind}" for kind in _TESTS))
    return tuple(_PREFIX[right] + name for name in names)


def checked(names: Iterable[str], right: Right) -> tuple[str, ...]:
    """Queues that somebody names. Raises UsageError: one worker never serves both sides of the wall between what is
    published and what is only proposed."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name.startswith("pr.") is not (right == "pr"):
            raise UsageError(
                f"{name!r} is {'not ' if right == 'pr' else ''}a queue of pull requests",
                where="--queue",
                fix="serve the queues pr.* with --pull-requests, and nothing else with it",
            )
        if not _is_served(name.removeprefix("pr.")):
            there = (BUILD, LARGE, *(f"test.{kind}" for kind in (*_TESTS, "native-OS-ARCH")))
            raise UsageError(
                f"no job ever goes to a queue {name!r}",
                where="--queue",
                fix=f"one of {', '.join(_PREFIX[right] + each for each in there)}",
            )
    return found


def _is_served(name: str) -> bool:
    """Whether a build or a test may go there; a name that is mistyped would have a worker wait for ever."""
    kind = name.removeprefix("test.")
    return name in (BUILD, LARGE) or (kind != name and (kind in _TESTS or _NATIVE.fullmatch(kind) is not None))
