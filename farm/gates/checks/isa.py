"""No instruction above the instruction-set level that a file is held to."""

from __future__ import annotations

from collections.abc import Iterator

from farm.binary.functions import Program, programs
from farm.errors import BinaryFormatError
from farm.gates.checks._base import Check
from farm.gates.checks._twins import twins_of
from farm.gates.contents import WheelContents, hwcaps_level
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity
from farm.model.shown import counted


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    from farm.gates import isa  # the disassembler, only when there is something to disassemble

    unjudged: dict[tuple[str, str], list[str]] = {}
    for file, linkage in wheel.binaries.items():
        try:
            found = programs(wheel.files[file], file, linkage.format)
            twins = twins_of(policy, file, linkage)
        except BinaryFormatError as error:
            yield CHECK.finding(error.where or file, error.what, error.fix)
            continue
        for program in found:
            level = hwcaps_level(file) or policy.isa_of(program.arch)
            if isa.judges(program.arch, level):
                yield from _examine(policy, file, program, twins.get(program.arch), level)
            else:
                unjudged.setdefault((program.arch, level), []).append(file)
    for (arch, level), files in unjudged.items():
        yield CHECK.finding(
            files[0],
            f"not judged against {level}: there is no table of {arch} instructions ({counted(len(files), 'file')})",
            "compare the compiler's -mcpu in the toolchain file with what the platform promises",
            Severity.NOTE,
        )


def _examine(policy: AuditPolicy, file: str, program: Program, twin: Program | None, level: str) -> Iterator[Finding]:
    from farm.gates import isa

    try:
        found = isa.excess_of(program, level=level, dispatched=policy.dispatched, twin=twin)
    except BinaryFormatError as error:
        yield CHECK.finding(error.where or file, error.what, error.fix)
        return
    for severity, doubtful in ((policy.house, False), (Severity.WARNING, True)):
        group = [excess for excess in found if bool(excess.doubt) is doubtful]
        for excess in group[: policy.shown]:
            perhaps = f" ({excess.doubt})" if doubtful else ""
            yield CHECK.finding(
                file,
                f"{excess.function} uses {', '.join(excess.features)}, which {level} does not promise{perhaps}: "
                f"`{excess.instruction}` at {excess.address:#x}, {counted(excess.count, 'such instruction')}",
                severity=severity,
            )
        rest = group[policy.shown :]
        if rest:
            features = sorted({feature for excess in rest for feature in excess.features})
            yield CHECK.finding(
                file,
                f"{counted(len(rest), 'more function')} above {level} ({', '.join(features)}), "
                f"up to {rest[-1].function}",
                severity=severity,
            )


CHECK = Check(
    name="instruction-set",
    meaning="No function uses an instruction that the platform's baseline does not promise (`Illegal instruction` on "
    "older CPUs), except functions that are only called after a CPU check (audit.dispatched). Files below "
    "`glibc-hwcaps/<level>/` are held to that level. x86, AArch64 and POWER; of other processors a note says that "
    "nobody looked.",
    remedy="compile without -march=native and -m<feature>; if the function is only called after a CPU check, add a "
    "glob to audit.dispatched with the reason; else ship it as a [[variant]]",
    run=_run,
)
