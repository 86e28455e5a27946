"""The verdict of the tool that installers and package indexes trust, asked in a process of its own.

These tools change the working directory while they work, keep what they saw before under the same name, and meet
damaged binaries with whatever exception comes: none of that may happen in a process with worker threads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from farm.errors import ProcessError
from farm.gates.judges import MARK

_LIMIT_SECONDS = 600
# By the family of the platform's C library. Each is also the name of the tool's import package.
JUDGES = {"glibc": "auditwheel", "musl": "auditwheel", "ucrt": "delvewheel", "libsystem": "delocate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `judge` says: the best tag it grants, all `granted` tags (aliases too), and `reasons` against better ones.

    Of the other two at most one is set: `failure`, why it could not judge, or `unasked`, why nobody asked it.
    """

    judge: str = "auditwheel"
    tag: str = ""
    granted: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    failure: str = ""
    unasked: str = ""


def verdict(wheel: Path, *, libc: str, arch: str, exclude: Iterable[str], platform: str = "") -> Verdict:
    """Ask the judge of a platform which tags a wheel deserves.

    `exclude` are names of libraries that other wheels bring (globs); `platform` the tag that the wheel claims.
    """
    from farm import process

    judge = JUDGES[libc]
    if find_spec(judge) is None:
        return Verdict(judge=judge, unasked="it is not installed")
    question = json.dumps(
        {
            "wheel": str(wheel.resolve()),
            "libc": libc,
            "arch": arch,
            "exclude": sorted(exclude),
            "platform": platform,
        }
    )
    command = [sys.executable, "-P", "-m", f"farm.gates.judges.{judge}", question]
    environment = {**os.environ, "PATH": "/nonexistent"} if judge == "delvewheel" else None  # where it looks for DLLs
    try:
        done = process.run(command, timeout=_LIMIT_SECONDS, env=environment)
    except ProcessError as error:
        lines = error.output.strip().splitlines()
        return Verdict(judge=judge, failure=lines[-1] if lines else error.what)
    answers = [line for line in done.output.splitlines() if line.startswith(MARK)]
    if not answers:
        return Verdict(judge=judge, failure="it gave no answer")
    answer = json.loads(answers[-1].removeprefix(MARK))
    return Verdict(
        judge=judge,
        tag=answer["tag"],
        granted=tuple(answer["granted"]),
        reasons=tuple(answer["reasons"]),
        failure=answer["failure"],
    )
