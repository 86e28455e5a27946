"""No instruction above the instruction-set level that a file is held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farm.binary.elf_file import ElfFile
from farm.errors import BinaryFormatError
from farm.gates.checks._base import Check, count
from farm.gates.contents import WheelContents, hwcaps_level
from farm.gates.isa_levels import LEVELS
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding, Severity

_X86 = frozenset({"x86_64", "i686"})


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        level = hwcaps_level(file) or policy.isa
        if linkage.format is BinaryFormat.ELF and linkage.arch in _X86 and level in LEVELS:
            yield from _examine(wheel, policy, file, linkage, level)


def _examine(wheel: WheelContents, policy: AuditPolicy, file: str, linkage: Linkage, level: str) -> Iterator[Finding]:
    from farm.gates import isa  # the disassembler, only when there is something to disassemble

    try:
        found = isa.excess_of(
            ElfFile(wheel.files[file], file),
            level=level,
            dispatched=policy.dispatched,
            twin=_twin(policy, file, linkage),
        )
    except BinaryFormatError as error:
        yield CHECK.finding(error.where or file, error.what, error.fix)
        return
    for severity, group in (
        (policy.house, [e for e in found if not e.doubtful]),
        (Severity.WARNING, [e for e in found if e.doubtful]),
    ):
        for excess in group[: policy.shown]:
            perhaps = " (perhaps data, or guarded by its caller)" if excess.doubtful else ""
            yield CHECK.finding(
                file,
                f"{excess.function} uses {', '.join(excess.features)}, which {level} does not promise{perhaps}: "
                f"`{excess.instruction}` at {excess.address:#x}, {count(excess.count, 'such instruction')}",
                severity=severity,
            )
        rest = group[policy.shown :]
        if rest:
            features = sorted({feature for excess in rest for feature in excess.features})
            yield CHECK.finding(
                file,
                f"{count(len(rest), 'more function')} above {level} ({', '.join(features)}), up to {rest[-1].function}",
                severity=severity,
            )


def _twin(policy: AuditPolicy, file: str, linkage: Linkage) -> ElfFile | None:
    for key in (file, file.rpartition("/")[2], linkage.soname):
        place: Path | None = policy.debug_symbols.get(key)
        if place is not None:
            try:
                return ElfFile(place.read_bytes(), str(place))
            except OSError as error:
                raise BinaryFormatError(f"cannot be read: {error.strerror}", where=str(place)) from error
    return None


CHECK = Check(
    name="instruction-set",
    meaning="No function uses an instruction that the platform's baseline does not promise (`Illegal instruction` on "
    "older CPUs), except functions that are only called after a CPU check (audit.dispatched). Files below "
    "`glibc-hwcaps/<level>/` are held to that level. x86 and x86-64 only; other architectures are not checked yet.",
    remedy="compile without -march=native and -m<feature>; if the function is only called after a CPU check, add a "
    "glob to audit.dispatched with the reason; else ship it as a [[variant]]",
    run=_run,
)
