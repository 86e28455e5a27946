"""Apple silicon runs nothing that is not signed, if only by itself."""

from __future__ import annotations

from collections.abc import Iterator

from farm.binary.macho import linkage_of
from farm.binary.macho_fat import slices
from farm.binary.macho_signature import signature_fault
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat
from farm.model.finding import Finding
from farm.wheel.platforms import machine

_SIGNED_ONLY = "aarch64"


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:  # noqa: ARG001
    for file, linkage in wheel.binaries.items():
        if linkage.format is not BinaryFormat.MACHO:
            continue
        fault = signature_fault(wheel.files[file], file)
        if fault:
            yield CHECK.finding(file, f"has a signature that does not hold: {fault}")
        if not linkage.signed and _is_unsigned_arm(wheel.files[file], file):
            yield CHECK.finding(file, "has no code signature: Apple silicon kills the process that loads it")


def _is_unsigned_arm(data: bytes, file: str) -> bool:
    return any(machine(part.arch) == _SIGNED_ONLY and not linkage_of(part).signed for part in slices(data, file))


CHECK = Check(
    name="code-signature",
    meaning="macOS: every arm64 binary has a code signature, and whoever has one has one that fits its content (an "
    "ad-hoc signature will do). Changing a file after it was linked breaks it.",
    remedy="link with a linker that signs (the farm's does) and change nothing afterwards, or sign again: codesign -s "
    "-",
    run=_run,
)
