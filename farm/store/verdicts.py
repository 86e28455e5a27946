"""The ledger's memory of judgements: verdicts of audits and tests, findings of gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select

from farm.model.finding import Finding, Severity
from farm.model.happening import Kind
from farm.model.outcome import Outcome
from farm.store.database import Database, chunks, now
from farm.store.happenings import note
from farm.store.records import Verdict
from farm.store.tables import findings, verdicts

_AUDIT = "audit"  # the verdict of gates; all others are of tests


class VerdictRecords(Database):
    """Verdicts and findings by build key."""

    def record_verdict(
        self, key: str, kind: str, outcome: Outcome, *, reason: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Say what an audit or a test of an artifact came to. The newest of a kind counts; older ones are kept."""
        row = {"key": key, "kind": kind, "outcome": outcome, "reason": reason, "details": dict(details or {})}
        same = select(verdicts.c.outcome, verdicts.c.reason).where(verdicts.c.key == key, verdicts.c.kind == kind)
        with self.writing() as connection:
            before = connection.execute(same.order_by(verdicts.c.id.desc()).limit(1)).first()
            connection.execute(insert(verdicts).values(row | {"at": now()}))
            if outcome is Outcome.FAILED and (before is None or tuple(before) != (outcome, reason)):
                what = Kind.GATE if kind == _AUDIT else Kind.TEST
                note(connection, what, f"{kind} {key}", key=key, text=reason, details={"kind": kind}, again=True)

    def verdicts(self, keys: Iterable[str]) -> dict[str, tuple[Verdict, ...]]:
        """The newest verdict of each kind for each key that has one, kinds in alphabetical order."""
        found: dict[str, tuple[Verdict, ...]] = {}
        with self.reading() as connection:
            for part in chunks(keys):
                newest = (
                    select(func.max(verdicts.c.id))
                    .where(verdicts.c.key.in_(part))
                    .group_by(verdicts.c.key, verdicts.c.kind)
                )
                query = select(verdicts).where(verdicts.c.id.in_(newest)).order_by(verdicts.c.kind)
                for r in connection.execute(query):
                    verdict = Verdict(
                        key=r.key, kind=r.kind, outcome=Outcome(r.outcome), reason=r.reason, details=r.details, at=r.at
                    )
                    found[r.key] = (*found.get(r.key, ()), verdict)
        return found

    def record_findings(self, key: str, gate: str, found: Sequence[Finding]) -> None:
        """What a gate said of the newest build of a key; replaces what it said before."""
        at = now()
        rows = [
            {
                "key": key,
                "gate": gate,
                "check_name": f.check,
                "severity": f.severity,
                "file": f.file,
                "fact": f.fact,
                "fix": f.fix,
                "at": at,
            }
            for f in found
        ]
        with self.writing() as connection:
            connection.execute(delete(findings).where(findings.c.key == key, findings.c.gate == gate))
            if rows:
                connection.execute(insert(findings), rows)

    def findings_of(self, key: str) -> tuple[Finding, ...]:
        """What the gates found on the newest build of a key."""
        query = select(findings).where(findings.c.key == key).order_by(findings.c.id)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(
            Finding(check=r.check_name, severity=Severity(r.severity), file=r.file, fact=r.fact, fix=r.fix)
            for r in rows
        )
