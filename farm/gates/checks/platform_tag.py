"""The platform tag is one that auditwheel grants."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    verdict = wheel.verdict
    if verdict is None:
        return
    file = wheel.path.name
    if verdict.failure:
        yield CHECK.finding(file, f"auditwheel cannot judge it: {verdict.failure}")
    elif policy.platform not in verdict.granted:
        because = f" ({'; '.join(verdict.reasons[:5])})" if verdict.reasons else ""
        yield CHECK.finding(file, f"claims {policy.platform}, but auditwheel grants only {verdict.tag}{because}")


CHECK = Check(
    name="platform-tag",
    meaning="auditwheel, the judge whose policies PyPI and installers follow (PEP 600, PEP 656), grants the platform "
    "tag. The farm's shared libraries are excluded from its search, since other wheels bring them.",
    remedy="build with the toolchain of this platform, or tag the wheel with what auditwheel grants",
    run=_run,
)
