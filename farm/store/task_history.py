"""The ledger's memory of what tasks of cascades took, and of what they left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import median

from sqlalchemy import Connection, func, select

from farm.model.cascade import TaskState
from farm.model.happening import Kind
from farm.model.rework import Verb
from farm.store.cascade_tables import cascades, plan_steps, tasks
from farm.store.database import Database
from farm.store.happenings import about_cascade
from farm.store.observed_tables import happenings
from farm.store.records import ReboundBy

_OF_CASCADE = ("id", "staged", "checks", "finished", "updated")
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

    def rebound_by(self, key: str) -> tuple[ReboundBy, ...]:
        """The cascades that rebound a wheel to stand in for the build of a key, and found the whole that they staged
        sound: no other one lets a wheel stand in. The first to be staged comes first, since the first stand-in stays;
        numbers are given when cascades start, and say nothing of that."""
        at = (plan_steps.c.cascade == tasks.c.cascade) & (plan_steps.c.id == tasks.c.step)
        query = (
            select(tasks.c.key, tasks.c.why, *(cascades.c[name] for name in _OF_CASCADE))
            .join(plan_steps, at)
            .join(cascades, cascades.c.id == tasks.c.cascade)
            .where(plan_steps.c.key == key, tasks.c.verb == Verb.REBIND, tasks.c.state == TaskState.DONE)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
            staged = _first_staged(connection, [row.id for row in rows])
        sound = [row for row in rows if row.id in staged or (row.staged and not row.checks.get("problems"))]
        sound.sort(key=lambda row: (staged.get(row.id) or row.finished or row.updated, row.id))
        return tuple(ReboundBy(cascade=row.id, key=row.key, why=row.why) for row in sound)


def _first_staged(connection: Connection, ids: Sequence[int]) -> dict[int, datetime]:
    """When cascades were first staged, of those that it is remembered of (`farm.store.happenings.KEPT_DAYS`)."""
    about = {about_cascade(id_): id_ for id_ in ids}
    named = happenings.c.about.in_(tuple(about)) & (happenings.c.kind == Kind.STAGED)
    query = select(happenings.c.about, func.min(happenings.c.at)).where(named).group_by(happenings.c.about)
    return {about[name]: at for name, at in connection.execute(query)}
