"""Statements of the queue that every step or every look needs, made once: SQLAlchemy takes longer to make a statement
than PostgreSQL to carry it out."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    bindparam,
    false,
    or_,
    select,
    union_all,
    update,
)

from farm.model.job import JobState
from farm.store.job_tables import jobs
from farm.store.tables import is_past, now_ms

_ELSEWHERE_MS = 500  # how long a job rests whose key is being built for another run
JOB = (jobs.c.id, jobs.c.run, jobs.c.key, jobs.c.what, jobs.c.queue, jobs.c.payload, jobs.c.signature, jobs.c.signer)


def _may(queue: str | BindParameter[str]) -> ColumnElement[bool]:
    """Which jobs of a queue may be taken now."""
    return (jobs.c.queue == queue) & (jobs.c.state == JobState.QUEUED) & is_past(jobs.c.not_before)


FIRST_LOCKED = (
    select(*JOB, jobs.c.attempts)
    .where(_may(bindparam("in_queue")))
    .order_by(jobs.c.rank, jobs.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
FIRST_LOCKED_BUT = FIRST_LOCKED.where(jobs.c.id.not_in(bindparam("passed_by", expanding=True)))
_THIS = (jobs.c.id == bindparam("job")) & (jobs.c.state == JobState.QUEUED)
REST = update(jobs).where(_THIS).values(not_before=now_ms() + _ELSEWHERE_MS)
SAY = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.state == JobState.RUNNING, jobs.c.token == bindparam("lease"))
    .values(state=bindparam("to_state"), outcome=bindparam("to_outcome", type_=JSON), ended=now_ms())
)
TAKE = (
    update(jobs)
    .where(_THIS)
    .values(state=JobState.RUNNING, token=bindparam("taken_token"), attempts=jobs.c.attempts + 1)
)


@functools.cache
def any_queued(queues: tuple[str, ...]) -> Select[Any]:
    """One look into an index per queue, in one statement: every worker asks this twice a second."""
    return select(or_(false(), *(select(jobs.c.id).where(_may(queue)).exists() for queue in queues)))


@functools.cache
def first_queues(queues: tuple[str, ...]) -> CompoundSelect[Any]:
    """Queues that have a job, the one with the most urgent job first: one look into an index per queue, in one
    statement."""
    return union_all(*(_first_of(queue) for queue in queues)).order_by("rank", "id")


def _first_of(queue: str) -> Select[Any]:
    columns = (jobs.c.queue, jobs.c.rank, jobs.c.id)
    first = select(*columns).where(_may(queue)).order_by(jobs.c.rank, jobs.c.id).limit(1)
    return select(first.subquery())  # SQLite has no limit for a part of a union
