"""The ledger's memory of what tasks of cascades took, and of what they left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from statistics import median

from sqlalchemy import select

from farm.model.cascade import CascadeState, TaskState
from farm.model.rework import Verb
from farm.store.cascade_tables import cascades, tasks
from farm.store.database import Database, chunks

_HISTORY = 20_000  # tasks that durations look back


class TaskHistoryRecords(Database):
    """Durations of what is no build (`AttemptRecords.durations` has those of builds), and wheels that were promoted."""

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

    def stand_ins(self, slots: Collection[str]) -> dict[str, str]:
        """Of each slot whose newest promoted wheel was rebound, not built: the key of that wheel."""
        found: dict[str, str] = {}
        promoted = (cascades.c.id == tasks.c.cascade) & (cascades.c.state == CascadeState.PROMOTED)
        with self.reading() as connection:
            for part in chunks(slots):
                query = (
                    select(tasks.c.slot, tasks.c.key, tasks.c.verb)
                    .join(cascades, promoted)
                    .where(tasks.c.slot.in_(part), tasks.c.verb != Verb.TEST, tasks.c.state == TaskState.DONE)
                    .order_by(tasks.c.cascade)
                )
                for slot, key, verb in connection.execute(query):
                    if verb == Verb.REBIND:
                        found[slot] = key
                    else:
                        found.pop(slot, None)
        return found
