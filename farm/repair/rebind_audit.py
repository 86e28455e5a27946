"""The audit of a rebound wheel: it passes what a built one passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from farm.errors import GateError
from farm.gates.audit import AuditPolicy, audit_wheel, policy_for_tag, with_libraries
from farm.gates.policy import lowest_platform
from farm.model.finding import Finding, Severity
from farm.repair.move import BUILD_INSTEAD, Move
from farm.repair.repair import RepairResult
from farm.wheel.names import parse


def findings(
    done: RepairResult, before: Path, moves: Mapping[str, Move], natives: Iterable[Path], policy: AuditPolicy | None
) -> tuple[Finding, ...]:
    """What the audit says of the result; GateError if it refuses it.

    Without a policy the wheel's tag tells what it is held to. What a recipe allowed is not known then, so errors that
    the wheel had before it was rebound do not count.
    """
    tag = lowest_platform(parse(done.wheel.name).platform.split("."))
    held_to = with_libraries(policy or replace(policy_for_tag(tag), strict=True), natives=natives)
    found = audit_wheel(done.wheel, policy=held_to)
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if errors and policy is None:
        old = audit_wheel(before, policy=_allowing(held_to, moves))
        had = {(f.check, f.file, _as_moved(f.fact, moves)) for f in old}
        errors = [f for f in errors if (f.check, f.file, f.fact) not in had]
    if errors:
        facts = "\n".join(f"  {f.file}: {f.fact} [{f.check}]" for f in errors)
        raise GateError(f"the audit refuses the rebound wheel:\n{facts}", where=before.name, fix=BUILD_INSTEAD)
    return tuple(finding for finding in found if finding.severity is not Severity.ERROR)


def _allowing(policy: AuditPolicy, moves: Mapping[str, Move]) -> AuditPolicy:
    """The same policy for the wheel as it was: nobody shows the audit the old libraries."""
    old = (name for move in moves.values() for name in (move.old, f"@rpath/{move.old}"))
    return replace(policy, allow_libraries=(*policy.allow_libraries, *old))


def _as_moved(fact: str, moves: Mapping[str, Move]) -> str:
    for move in moves.values():
        fact = fact.replace(move.old, move.new)
    return fact
