"""No writable code: executable stacks and text relocations."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding


def _stack(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:  # noqa: ARG001
    for file, linkage in wheel.binaries.items():
        if linkage.exec_stack:
            yield STACK.finding(file, "asks for an executable stack; glibc 2.41 and newer refuse to load it")


def _text(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:  # noqa: ARG001
    for file, linkage in wheel.binaries.items():
        if linkage.text_relocations:
            yield TEXT.finding(file, "has text relocations: its code is made writable and cannot be shared")


STACK = Check(
    name="executable-stack",
    meaning="No binary needs an executable stack. It weakens the whole process, and glibc from 2.41 on refuses to load "
    "such a library at run time. A missing PT_GNU_STACK header means the same on x86.",
    remedy='add `.section .note.GNU-stack,"",@progbits` to the assembly files, or link with -Wl,-z,noexecstack; avoid '
    "GCC's nested functions",
    run=_stack,
)
TEXT = Check(
    name="text-relocations",
    meaning="No binary has text relocations (code that was not compiled as position-independent). Hardened systems "
    "and musl refuse to load them.",
    remedy="compile everything with -fPIC; hand-written assembly must address data relative to the program counter",
    run=_text,
)
