"""Debug information belongs into its own artifact."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        if linkage.has_debug_info:
            yield CHECK.finding(file, "holds debug information", severity=policy.house)


CHECK = Check(
    name="debug-information",
    meaning="Binaries hold no debug information (`.debug_*` sections, stabs of macOS): it multiplies the size of the "
    "download and leaks build paths.",
    remedy="link with -s, or `strip --strip-debug` before packing",
    run=_run,
)
