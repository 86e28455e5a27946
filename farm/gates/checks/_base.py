"""What a check is: a name, two sentences for the documentation, and a pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. `meaning` says what is checked and why, `remedy` what to do; both feed docs/audit.md.

    `run` looks at a wheel under a policy and yields findings; it opens nothing.
    """

    name: str
    meaning: str
    remedy: str
    run: Callable[[WheelContents, AuditPolicy], Iterable[Finding]]

    def finding(self, file: str, fact: str, fix: str = "", severity: Severity = Severity.ERROR) -> Finding:
        """A finding of this check; `fix` is the check's remedy unless the case has a better one."""
        return Finding(check=self.name, severity=severity, file=file, fact=fact, fix=fix or self.remedy)
