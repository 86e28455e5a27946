"""The wheel's file name, WHEEL and METADATA files, and its binaries tell one story."""

from __future__ import annotations

from collections.abc import Iterator

from farm.errors import BinaryFormatError
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import FORMATS, AuditPolicy
from farm.model.finding import Finding, Severity
from farm.wheel import advice
from farm.wheel.metadata import check_wheel_file, parse_headers
from farm.wheel.platforms import machines


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    member = f"{wheel.dist_info}/WHEEL"
    try:
        if member not in wheel.files:
            raise BinaryFormatError("is missing", where=member, fix=advice.BACKEND)
        headers = parse_headers(wheel.files[member], member)
        check_wheel_file(headers, wheel.name, member)
        if wheel.binaries and headers.get("Root-Is-Purelib").lower() == "true":
            yield CHECK.finding(member, "says Root-Is-Purelib, but the wheel holds binaries")
    except BinaryFormatError as error:
        yield CHECK.finding(member, error.what, error.fix)
    for file, linkage in wheel.binaries.items():
        if not machines(policy.arch) <= machines(linkage.arch):
            yield CHECK.finding(file, f"is for {linkage.arch}, the wheel for {policy.arch}")
        for difference in linkage.disagreements:
            yield CHECK.finding(file, difference, "build all slices from the same sources", Severity.WARNING)
        if linkage.format is not FORMATS[policy.libc]:
            yield CHECK.finding(file, f"is a file of another system ({linkage.format}), it cannot run there")
    if not wheel.binaries and wheel.name.platform != "any":
        yield CHECK.finding(wheel.path.name, f"claims {wheel.name.platform}, but holds no binary")


CHECK = Check(
    name="identity",
    meaning="File name, WHEEL file and METADATA agree on name, version and tags, and every binary is for the "
    "architecture and the system of the platform tag.",
    remedy="pack the wheel with the farm; do not rename wheels by hand",
    run=_run,
)
