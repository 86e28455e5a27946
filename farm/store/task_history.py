"""The ledger's memory of what tasks of cascades took, and of what they left."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from sqlalchemy import select

from farm.model.cascade import TaskState
from farm.model.rework import Verb
from farm.store.cascade_tables import plan_steps, tasks
from farm.store.database import Database

_HISTORY = 20_000  # tasks that durations look back


class TaskHistoryRecords(Database):
    """Durations of what is no build (`AttemptRecords.durations` has those of builds), and why wheels were rebound."""

    def task_durations(self) -> dict[tuple[Verb, str], float]:
        """Median wall seconds of rebindings and tests that were carried out, by verb and slot."""
        query = (
            select(tasks.c.verb, tasks.c.slot, tasks.c.took)
            .where(tasks.c.verb != Verb.BUILD, tasks.c.state == TaskState.DONE, tasks.c.took > 0)
            .order_by(tasks.c.cascade.desc(), tasks.c.position)
            .limit(_HISTORY)
        )
        seen: dict[tuple[Verb, str], list[float]] = defaultdict(list)
        with self.reading() as connection:
            for verb, slot, took in connection.execute(query):
                seen[Verb(verb), slot].append(took)
        return {which: median(values) for which, values in seen.items()}

    def rebound_by(self, key: str) -> tuple[int, str] | None:
        """The newest cascade that rebound a wheel to stand in for the build of a key, and why it could."""
        at = (plan_steps.c.cascade == tasks.c.cascade) & (plan_steps.c.id == tasks.c.step)
        query = (
            select(tasks.c.cascade, tasks.c.why)
            .join(plan_steps, at)
            .where(plan_steps.c.key == key, tasks.c.verb == Verb.REBIND, tasks.c.state == TaskState.DONE)
            .order_by(tasks.c.cascade.desc())
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.cascade, row.why)
