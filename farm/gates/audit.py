"""Audit a wheel: read it once, run every check, return what they object to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from farm.errors import BinaryFormatError
from farm.gates import contents
from farm.gates.checks import CHECKS
from farm.gates.judge import verdict
from farm.gates.policy import AuditPolicy, KnownLibrary, policy_for, policy_for_tag, with_libraries
from farm.model.binary import BinaryFormat
from farm.model.finding import Finding, Severity

__all__ = [
    "AuditPolicy",
    "KnownLibrary",
    "audit_contents",
    "audit_wheel",
    "policy_for",
    "policy_for_tag",
    "with_libraries",
]

_JUDGED = frozenset({"glibc", "musl"})


def audit_wheel(path: Path, *, policy: AuditPolicy) -> tuple[Finding, ...]:
    """All findings about a wheel, errors first, then by check and file.

    A wheel that is no sound archive gives one finding and no more checks. Raises OSError if the file cannot be read.
    """
    try:
        wheel = contents.load(path)
    except BinaryFormatError as error:
        return (contents.archive_fault(path, error),)
    if policy.libc in _JUDGED and any(b.format is BinaryFormat.ELF for b in wheel.binaries.values()):
        exclude = policy.shared_names.keys() | set(policy.allow_libraries)
        wheel = replace(wheel, verdict=verdict(path, libc=policy.libc, arch=policy.arch, exclude=exclude))
    return audit_contents(wheel, policy)


def audit_contents(wheel: contents.WheelContents, policy: AuditPolicy) -> tuple[Finding, ...]:
    """All findings about a wheel that was read already. Pure."""
    found = [finding for check in CHECKS for finding in check.run(wheel, policy)]
    order = {check.name: number for number, check in enumerate(CHECKS)}
    found.sort(key=lambda finding: (finding.severity is not Severity.ERROR, order[finding.check]))
    return tuple(found)
