"""Faults that were met while the wheel was read: the archive itself, RECORD, METADATA, damaged binaries."""

from __future__ import annotations

from collections.abc import Iterable

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding


def _of(name: str, meaning: str, remedy: str) -> Check:
    def run(wheel: WheelContents, policy: AuditPolicy) -> Iterable[Finding]:  # noqa: ARG001
        return [fault for fault in wheel.faults if fault.check == name]

    return Check(name=name, meaning=meaning, remedy=remedy, run=run)


CHECKS = (
    _of(
        "archive",
        "The wheel is one sound zip archive: no symbolic links, no paths that escape, no duplicate members, nothing "
        "that two installers could read in two ways. If it is not, no other check runs.",
        "pack the wheel with the farm, or get it again",
    ),
    _of(
        "record",
        "RECORD lists every member once, with the right size and a sha256 or stronger hash, and nothing else.",
        "pack the wheel with the farm: it writes RECORD last",
    ),
    _of("metadata", "METADATA can be read and is of this wheel.", "build the wheel with a PEP 517 backend"),
    _of(
        "binary",
        "Every binary can be read: it is not cut short and does not contradict itself.",
        "build the wheel again; if the toolchain is right, report the file",
    ),
)
