"""Processor time of sandboxed commands.

A sandbox has a process namespace of its own, whose processes the kernel does not account to whoever waits for the
sandbox. So a shell inside waits for the command and writes down what it and its children took (POSIX `times`).
"""

from __future__ import annotations

import re
from pathlib import Path

INSIDE = "/farm/.times"
_SCRIPT = f'"$@"; code=$?; times > {INSIDE}; exit $code'
_TIME = re.compile(r"(\d+)m([\d.]+)s")


def counted(command: list[str]) -> list[str]:
    """The command inside the shell that counts: same output, same exit code."""
    return ["/bin/sh", "-c", _SCRIPT, "sh", *command]


def seconds(file: Path) -> float:
    """User and system time of the shell and all its children; 0 if the command was killed before it ended."""
    return sum(int(minutes) * 60 + float(rest) for minutes, rest in _TIME.findall(file.read_text("ascii", "replace")))
