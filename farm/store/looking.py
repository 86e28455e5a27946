"""What the ledger knows of now: what runs and where, what failed last. Each question looks into an index, and costs the
same after ten attempts and after a million."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from farm.model.events import State
from farm.model.job import JobState
from farm.store.database import Database
from farm.store.job_tables import jobs
from farm.store.owner import Owner
from farm.store.tables import attempts, leases, now_ms, steps
from farm.store.tallies import count_up_to

_MOST = 2000  # attempts that are said to run: more are not looked at
_COLUMNS = (
    attempts.c.id,
    attempts.c.state,
    attempts.c.started,
    attempts.c.phase,
    attempts.c.error,
    attempts.c.seconds,
    attempts.c.host,
    attempts.c.pid,
    steps.c.id.label("step"),
    steps.c.recipe,
    steps.c.platform,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An attempt as who looks on sees it. `seconds` is how long it took, or has been at work."""

    id: int
    step: str
    recipe: str
    platform: str
    state: State
    phase: str
    host: str
    pid: int
    started: datetime
    seconds: float
    error: str


class LookRecords(Database):
    """Attempts by what they are now."""

    def running(self, now: datetime) -> tuple[Seen, ...]:
        """What is at work at the moment `now`, the longest first. An attempt whose process is dead, or whose lease
        another one has or nobody renews, is not."""
        alive = (leases.c.key == attempts.c.key) & (leases.c.owner == attempts.c.owner) & (leases.c.expires >= now_ms())
        query = select(*_COLUMNS, attempts.c.owner).join(steps, steps.c.key == attempts.c.key).join(leases, alive)
        query = query.where(attempts.c.state == State.RUNNING).order_by(attempts.c.id.desc()).limit(_MOST)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        found = [row for row in rows if not Owner.parse(row.owner).is_surely_dead()]
        seen = (_seen(row, max(0.0, (now - row.started).total_seconds())) for row in found)
        return tuple(sorted(seen, key=lambda one: one.started))

    def last_failed(self, limit: int) -> tuple[Seen, ...]:
        """Attempts that failed, those that began last first."""
        query = _joined().where(attempts.c.state == State.FAILED).order_by(attempts.c.id.desc()).limit(limit)
        with self.reading() as connection:
            return tuple(_seen(row) for row in connection.execute(query))

    def queue_numbers(self, limit: int = 10_000) -> dict[tuple[str, JobState], int]:
        """Jobs of a fleet that are queued or running, by queue; none is counted beyond `limit`."""
        found: dict[tuple[str, JobState], int] = {}
        with self.reading() as connection:
            queue = connection.execute(select(func.min(jobs.c.queue))).scalar()
            while queue is not None:  # from one queue to the next in the index, not through all jobs
                for state in (JobState.QUEUED, JobState.RUNNING):
                    mine = select(jobs.c.id).where(jobs.c.queue == queue, jobs.c.state == state)
                    found[queue, state] = count_up_to(connection, mine, limit)
                queue = connection.execute(select(func.min(jobs.c.queue)).where(jobs.c.queue > queue)).scalar()
        return found

    def last_built_at(self) -> datetime | None:
        """When the build that began last, of those that succeeded, ended."""
        newest = select(func.max(attempts.c.id)).where(attempts.c.state == State.BUILT).scalar_subquery()
        with self.reading() as connection:
            found: datetime | None = connection.execute(
                select(attempts.c.finished).where(attempts.c.id == newest)
            ).scalar()
        return found


def _joined() -> Select[Any]:
    return select(*_COLUMNS).join(steps, steps.c.key == attempts.c.key)


def _seen(row: Any, seconds: float | None = None) -> Seen:
    return Seen(
        id=row.id,
        step=row.step,
        recipe=row.recipe,
        platform=row.platform,
        state=State(row.state),
        phase=row.phase,
        host=row.host,
        pid=row.pid,
        started=row.started,
        seconds=row.seconds if seconds is None else seconds,
        error=row.error,
    )
