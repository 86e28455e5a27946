"""No complex arithmetic by the compiler's own run time where that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farm.binary.functions import Program, programs
from farm.errors import BinaryFormatError
from farm.gates import data
from farm.gates.checks._base import Check
from farm.gates.checks._twins import twins_of
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding, Severity

# The run time's object names its functions a second time: `compiler_rt.divc3.__divdc3`, at the address of `__divdc3`.
_RUN_TIME = "compiler_rt."
# Every quotient is wrong; of products those are whose result is no number.
_SEVERITIES = {"quotient": Severity.ERROR, "product": Severity.WARNING}


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        wrong = data.wrong_runtime(linkage.arch) if linkage.format is BinaryFormat.ELF else {}
        if not wrong:
            continue
        try:
            yield from _examine(policy, file, wheel.files[file], linkage, wrong)
        except BinaryFormatError as error:
            yield CHECK.finding(error.where or file, error.what, error.fix)


def _examine(
    policy: AuditPolicy, file: str, content: bytes, linkage: Linkage, wrong: Mapping[str, str]
) -> Iterator[Finding]:
    twin = twins_of(policy, file, linkage).get(linkage.arch)
    program = twin or programs(content, file, linkage.format)[0]
    run_time = {function.address for function in program.functions if function.name.startswith(_RUN_TIME)}
    for name, address in sorted(_named(program, wrong)):
        what = wrong[name]
        if address in run_time:
            yield CHECK.finding(
                file, f"takes {name} from the compiler's run time, {_RESULTS[what]}", severity=_SEVERITIES[what]
            )
        elif policy.strict and not run_time and twin is None:
            yield CHECK.finding(
                file,
                f"has a function {name} of which it cannot be told whether it is the compiler's, {_RESULTS[what]}",
                "show the audit the file before it was stripped; " + CHECK.remedy,
                severity=Severity.WARNING,
            )


_RESULTS = {
    "quotient": "which returns wrong quotients of complex numbers on this processor",
    "product": "which returns wrong products of complex numbers on this processor where they are infinite or no number",
}


def _named(program: Program, wrong: Mapping[str, str]) -> set[tuple[str, int]]:
    return {(function.name, function.address) for function in program.functions if function.name in wrong}


CHECK = Check(
    name="run-time",
    meaning="No function of the compiler's own run time is linked in that is known to be wrong on the processor "
    "(`farm/gates/data/runtime.toml`): quotients of complex numbers on POWER, and in single precision on i686. "
    "Products are a warning: only those that are infinite or no number are wrong. A function of the library's own by "
    "that name is fine; the file before it was stripped tells which it is.",
    remedy="give the library such functions of its own on this platform, as `recipes/openblas/lapack/complex.c` does, "
    "or compile with -fcomplex-arithmetic=basic (`cflags` of a [[when]] row)",
    run=_run,
)
