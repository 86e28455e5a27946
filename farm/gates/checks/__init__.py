"""The checks of an audit as one table. One rule per file; a check is pure and opens nothing."""

from __future__ import annotations

from farm.gates.checks import (
    archive,
    debug,
    floor,
    identity,
    isa,
    libraries,
    license,  # noqa: A004
    members,
    memory,
    native,
    paths,
    platform_tag,
    requires,
    runpath,
    runtime,
    signature,
    undefined,
    vendored,
    windows,
)
from farm.gates.checks._base import Check

CHECKS: tuple[Check, ...] = (
    *archive.CHECKS,
    identity.CHECK,
    platform_tag.CHECK,
    floor.GLIBC,
    floor.MUSL,
    floor.SYSTEM,
    libraries.CHECK,
    undefined.CHECK,
    vendored.CHECK,
    requires.CHECK,
    runpath.CHECK,
    memory.STACK,
    memory.TEXT,
    windows.RUNTIME,
    windows.PROTECTIONS,
    signature.CHECK,
    isa.CHECK,
    runtime.CHECK,
    native.MANIFEST,
    native.NAMES,
    paths.CHECK,
    members.CHECK,
    debug.CHECK,
    license.CHECK,
)


def markdown() -> str:
    """The table of checks in docs/audit.md."""
    rows = [f"| `{check.name}` | {check.meaning} | {check.remedy} |" for check in CHECKS]
    return "\n".join(["| check | what it means | how to fix |", "|---|---|---|", *rows]) + "\n"
