"""Audit a wheel: read it once, run every check, return what they object to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from farm.errors import BinaryFormatError
from farm.gates import contents
from farm.gates.checks import CHECKS
from farm.gates.judge import verdict
from farm.gates.policy import AuditPolicy, policy_for, policy_for_tag, with_libraries
from farm.model.finding import Finding, Severity

__all__ = [
    "AuditPolicy",
    "audit_contents",
    "audit_wheel",
    "policy_for",
    "policy_for_tag",
    "with_libraries",
]

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def audit_wheel(path: Path, *, policy: AuditPolicy) -> tuple[Finding, ...]:
    """All findings about a wheel, errors first and notes last, then by check and file.

    A wheel that is no sound archive gives one finding and no more checks. Raises OSError if the file cannot be read.
    """
    try:
        wheel = contents.load(path)
    except BinaryFormatError as error:
        return (contents.archive_fault(path, error),)
    if wheel.binaries:
        exclude = policy.libraries.keys() | set(policy.allow_libraries)
        judged = verdict(path, libc=policy.libc, arch=policy.arch, exclude=exclude, platform=policy.platform)
        wheel = replace(wheel, verdict=judged)
    return audit_contents(wheel, policy)


def audit_contents(wheel: contents.WheelContents, policy: AuditPolicy) -> tuple[Finding, ...]:
    """All findings about a wheel that was read already. Pure."""
    found = [finding for check in CHECKS for finding in check.run(wheel, policy)]
    order = {check.name: number for number, check in enumerate(CHECKS)}
    found.sort(key=lambda finding: (_ORDER[finding.severity], order[finding.check]))
    return tuple(found)
