"""What verbs print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.model.finding import Finding


def print_json(value: object) -> None:
    """One JSON document on stdout, keys in the order given."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their content, so that the output is greppable and needs no terminal."""
    if not rows:
        return
    widths = [max(len(str(row[i])) for row in (headers, *rows)) for i in range(len(headers))]
    for row in (headers, *rows):
        line = "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())


def finding_row(finding: Finding) -> dict[str, str]:
    """A finding for programs."""
    return {
        "check": finding.check,
        "severity": str(finding.severity),
        "file": finding.file,
        "fact": finding.fact,
        "fix": finding.fix,
    }


def human_size(count: float) -> str:
    """A size in bytes for people: ``1.4 MB`` (powers of 1000, as package indexes show them)."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def human_seconds(seconds: float) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3m20s``, ``1h02m``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
