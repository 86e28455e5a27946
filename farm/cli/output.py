"""What verbs print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from farm.model.shown import counted as counted
from farm.model.shown import human_seconds as human_seconds
from farm.model.shown import human_size as human_size

if TYPE_CHECKING:
    from farm.model.finding import Finding

_GAP = 2  # blanks between columns


def print_json(value: object) -> None:
    """One JSON document on stdout, keys in the order given; in ASCII if stdout cannot take every character."""
    plain = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8"
    json.dump(value, sys.stdout, indent=2, ensure_ascii=plain)
    sys.stdout.write("\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their content, so that the output is greppable and needs no terminal."""
    if not rows:
        return
    widths = [max(len(str(row[i])) for row in (headers, *rows)) for i in range(len(headers))]
    for row in (headers, *rows):
        line = (" " * _GAP).join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())


def width() -> int:
    """Columns of the terminal; without limit where the output goes to a file or a program."""
    return shutil.get_terminal_size(fallback=(sys.maxsize, 24)).columns


def print_wide_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that may be wider than the terminal: it is cut into several that fit, each with the first column."""
    sizes = [max(len(str(row[i])) for row in (headers, *rows)) + _GAP for i in range(len(headers))]
    start, room = 1, width()
    while start < len(headers):
        stop, used = start + 1, sizes[0] + sizes[start]
        while stop < len(headers) and used + sizes[stop] - _GAP <= room:
            used += sizes[stop]
            stop += 1
        if start > 1:
            print()
        print_table((headers[0], *headers[start:stop]), [(row[0], *row[start:stop]) for row in rows])
        start = stop


def finding_row(finding: Finding) -> dict[str, str]:
    """A finding for programs."""
    return {
        "check": finding.check,
        "severity": str(finding.severity),
        "file": finding.file,
        "fact": finding.fact,
        "fix": finding.fix,
    }
