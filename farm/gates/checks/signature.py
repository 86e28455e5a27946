"""Apple silicon runs nothing that is not signed, if only by itself."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat
from farm.model.finding import Finding
from farm.wheel.platforms import machines

_SIGNED_ONLY = "aarch64"


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:  # noqa: ARG001
    for file, linkage in wheel.binaries.items():
        if linkage.format is not BinaryFormat.MACHO:
            continue
        if not linkage.signed and _SIGNED_ONLY in machines(linkage.arch):
            yield CHECK.finding(file, "has no code signature: Apple silicon will kill the process that loads it")


CHECK = Check(
    name="code-signature",
    meaning="macOS: every arm64 binary has a code signature, and whoever has one has one that fits its content (an "
    "ad-hoc signature will do). Changing a file after it was linked breaks it.",
    remedy="link with a linker that signs (the farm's does) and change nothing afterwards, or sign again: codesign -s "
    "-",
    run=_run,
)
