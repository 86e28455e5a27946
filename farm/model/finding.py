"""What a gate says of a wheel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs: only an error stops a wheel; a note says what was not looked at, and why."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that a gate objects to: `check` names the rule, `file` the member, `fact` and `fix` are sentences."""

    check: str
    severity: Severity
    file: str
    fact: str
    fix: str
