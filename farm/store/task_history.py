"""The ledger's memory of how long tasks of cascades took."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from sqlalchemy import select

from farm.model.cascade import TaskState
from farm.model.rework import Verb
from farm.store.cascade_tables import tasks
from farm.store.database import Database

_HISTORY = 20_000  # tasks that durations look back


class TaskHistoryRecords(Database):
    """Durations of what is no build; `AttemptRecords.durations` has those of builds."""

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
