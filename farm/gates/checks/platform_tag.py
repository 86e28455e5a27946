"""The platform tag is one that the platform's judge grants."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    verdict = wheel.verdict
    if verdict is None:
        return
    file, judge = wheel.path.name, verdict.judge
    if verdict.unasked:
        yield CHECK.finding(
            file,
            f"{judge} was not asked about {policy.platform}: {verdict.unasked}",
            f"pip install {judge}, if its opinion is wanted beside the farm's own checks",
            Severity.NOTE,
        )
    elif verdict.failure:
        yield CHECK.finding(file, f"{judge} cannot judge it: {verdict.failure}")
    elif policy.platform not in verdict.granted:
        because = f" ({'; '.join(verdict.reasons[:5])})" if verdict.reasons else ""
        yield CHECK.finding(
            file, f"claims {policy.platform}, but {judge} grants only {verdict.tag or 'nothing'}{because}"
        )


CHECK = Check(
    name="platform-tag",
    meaning="The judge whose rules package indexes and installers follow grants the platform tag: auditwheel for Linux "
    "(PEP 600, PEP 656), delvewheel for Windows, delocate for macOS. The farm's shared libraries are excluded from its "
    "search, since other wheels bring them. A judge that is not installed is noted.",
    remedy="build with the toolchain of this platform, or tag the wheel with what the judge grants",
    run=_run,
)
