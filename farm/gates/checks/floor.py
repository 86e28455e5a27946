"""The oldest libc the binaries run on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from farm.gates.checks._base import Check, some
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import Linkage
from farm.model.finding import Finding

_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.(\d+))?")


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    if policy.libc != "glibc":
        return
    for file, linkage in wheel.binaries.items():
        above = [version for version in _versions(linkage) if not _fits(version, policy.floor)]
        for version in above:
            users = sorted({s.name for s in linkage.imports if s.version == version})
            wanted = f" (for {some(users, policy.shown)})" if users else ""
            floor = ".".join(map(str, policy.floor))
            yield CHECK.finding(
                file, f"needs {version}{wanted}, but {policy.platform} promises to run on glibc {floor}"
            )


def _versions(linkage: Linkage) -> list[str]:
    found = {v for versions in linkage.version_needs.values() for v in versions if v.startswith("GLIBC_")}
    return sorted(found)


def _fits(version: str, floor: tuple[int, int]) -> bool:
    found = _VERSION.fullmatch(version)
    return found is not None and (int(found[1]), int(found[2])) <= floor


CHECK = Check(
    name="glibc-floor",
    meaning="No binary needs a symbol of a newer glibc than the wheel's platform tag promises (PEP 600). Private "
    "versions (`GLIBC_PRIVATE`, `GLIBC_ABI_DT_RELR`) never fit.",
    remedy="build with the toolchain of this platform (its compiler's target carries the floor), or tag the wheel for "
    "a newer one",
    run=_run,
)
