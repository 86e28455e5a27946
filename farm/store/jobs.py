"""The ledger's memory of jobs: the queue of a fleet. Nothing about a job is anywhere else.

Taking a job and taking the lease of its key is one transaction, and so is writing down what it came to and giving the
lease back: of a worker that was killed between the two, the lease runs out; of one that was only stopped, the late
word is refused, because the lease went to another. Times are the database's, so no worker's clock counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from farm.model.job import Job, JobEnd, JobState, NewJob, QueueDepth
from farm.store.database import chunks
from farm.store.job_statements import FIRST_LOCKED, FIRST_LOCKED_BUT, JOB, REST, SAY, TAKE, any_queued, first_queues
from farm.store.job_tables import jobs
from farm.store.leases import AGE, LEASE_SECONDS, NOBODY, LeaseRecords
from farm.store.owner import Owner, this_process
from farm.store.records import Lease
from farm.store.tables import is_past, leases, now_ms
from farm.store.tallies import RETRY, TallyRecords

MAX_ATTEMPTS = 5  # a job that took so many workers with it is the fault of the job
_BULK = 2000  # rows per statement of many
_TRIES = 200  # so many jobs at rest are passed by: as many as other runs have slots at work
_DAY_MS = 86_400_000
_EVER_DAYS = 1e6
_OPEN = (JobState.QUEUED, JobState.RUNNING)
_SAID = (JobState.DONE, JobState.FAILED)
_END = (jobs.c.id, jobs.c.key, jobs.c.what, jobs.c.state, jobs.c.outcome)


class JobRecords(LeaseRecords, TallyRecords):
    """Jobs of all runs."""

    def submit_jobs(self, new: Iterable[NewJob], *, again: bool = False) -> None:
        """Queue jobs. Raises StoreError.

        `again`: the answer to this was lost, so what a run has of it already is left out (it asks for a key once)."""
        for part in chunks(new, _BULK):
            with self.writing() as connection:
                there = self._unheard(connection, part) if again else set()
                at = connection.execute(select(now_ms())).scalar_one()
                if rows := [_row(job, at) for job in part if (job.run, job.key) not in there]:
                    connection.execute(insert(jobs), rows)

    def claim_job(
        self, queues: Sequence[str], owner: Owner | None = None, ttl: float = LEASE_SECONDS
    ) -> tuple[Job, Lease] | None:
        """Take the most urgent job of some queues, with the lease of its key for `ttl` seconds; None if there is none.

        The time it takes does not grow with the number of jobs: one look into an index per queue, in one statement.
        """
        me, passed_by = owner or this_process(), list[int]()
        for _ in range(_TRIES):
            with self.writing() as connection:
                found = self._claim(connection, queues, me, ttl, passed_by)
            if not isinstance(found, int):
                return found
            passed_by.append(found)
        return None

    def finish_and_claim(
        self, lease: Lease, job: Job, state: JobState, outcome: Mapping[str, Any], queues: Sequence[str]
    ) -> tuple[bool, tuple[Job, Lease] | None]:
        """`finish_job`, and `claim_job` of the same worker in the same transaction: a step costs one commit."""
        with self.writing() as connection:
            written = self._say(connection, lease, job, state, outcome)
            found = self._claim(connection, queues, lease.owner, lease.ttl)
        return written, None if isinstance(found, int) else found

    def has_queued(self, queues: Sequence[str]) -> bool:
        """Whether a job of these queues may be taken now."""
        with self.reading() as connection:
            return bool(connection.execute(any_queued(tuple(queues))).scalar())

    def finish_job(self, lease: Lease, job: Job, state: JobState, outcome: Mapping[str, Any]) -> bool:
        """Write down what a job came to, and give its lease back. False, and nothing is written, if the lease is not
        ours any more: then another worker says it."""
        with self.writing() as connection:
            return self._say(connection, lease, job, state, outcome)

    def give_back(self, lease: Lease, job: Job) -> bool:
        """Let others take a job that we took and will not do; it does not count as an attempt."""
        return self._end_lease(lease, job, {"state": JobState.QUEUED, "attempts": jobs.c.attempts - 1})

    def delay_job(self, lease: Lease, job: Job, seconds: float) -> bool:
        """Let it be tried again, by anybody, after so many seconds: it met a fault that may pass."""
        later = now_ms() + int(seconds * 1000)
        return self._end_lease(lease, job, {"state": JobState.QUEUED, "not_before": later})

    def requeue_lost(self, queues: Sequence[str], ttl: float = LEASE_SECONDS) -> int:
        """Queue running jobs again whose worker is gone: its lease ended, or ran out and shows no heartbeat. Returns
        how many. One that was handed out too often has failed instead.

        Every worker asks twice a second, so the database gives only what may be lost, not all that is at work."""
        lost = (leases.c.key.is_(None)) | (leases.c.token != jobs.c.token) | (leases.c.owner == NOBODY)
        here = leases.c.owner.startswith(this_process().machine + "-")  # its death would be seen at once
        query = (
            select(jobs.c.id, jobs.c.attempts, jobs.c.token.label("job_token"), lost.label("lost"), leases, *AGE)
            .outerjoin(leases, leases.c.key == jobs.c.key)
            .where(jobs.c.queue.in_(queues), jobs.c.state == JobState.RUNNING, lost | here | is_past(leases.c.expires))
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
        gone = [row for row in rows if row.lost or self.may_be_taken(row, ttl)]
        return sum(self._requeue(row) for row in gone)

    def cancel_jobs(self, run: str) -> int:
        """Nobody waits for a run any more: what no worker has taken is not done. Returns how many jobs that were."""
        mine = (jobs.c.run == run) & jobs.c.told.is_(False) & (jobs.c.state == JobState.QUEUED)
        with self.writing() as connection:
            values = {"state": JobState.CANCELLED, "ended": now_ms(), "told": True}
            return connection.execute(update(jobs).where(mine).values(values)).rowcount

    def ended_jobs(self, run: str, heard: Iterable[JobEnd] = ()) -> tuple[JobEnd, ...]:
        """What of a run ended, but for what its asker has `heard` of: the ends that the last call gave.

        They are given until they are named, so that an answer may be lost on its way."""
        for part in chunks(end.id for end in heard):
            with self.writing() as connection:
                connection.execute(update(jobs).where(jobs.c.id.in_(part)).values(told=True))
        mine = (jobs.c.run == run) & jobs.c.told.is_(False) & jobs.c.state.in_(_SAID)
        query: Select[Any] = select(*_END).where(mine).order_by(jobs.c.id)
        with self.reading() as connection:
            return tuple(map(_end, connection.execute(query)))

    def queue_depths(self) -> tuple[QueueDepth, ...]:
        """What waits and runs, by queue."""
        columns = (jobs.c.queue, jobs.c.state, func.count(), func.min(jobs.c.created))
        query = select(*columns).where(jobs.c.state.in_(_OPEN)).group_by(jobs.c.queue, jobs.c.state)
        with self.reading() as connection:
            at = connection.execute(select(now_ms())).scalar_one()
            rows = connection.execute(query).all()
        counts = {(row[0], row[1]): (int(row[2]), (at - row[3]) / 1000) for row in rows}
        return tuple(
            QueueDepth(
                queue=queue,
                queued=counts.get((queue, JobState.QUEUED), (0, 0.0))[0],
                running=counts.get((queue, JobState.RUNNING), (0, 0.0))[0],
                oldest=counts.get((queue, JobState.QUEUED), (0, 0.0))[1],
            )
            for queue in sorted({row[0] for row in rows})
        )

    def clock(self) -> datetime:
        """The database's time: no worker's clock counts."""
        with self.reading() as connection:
            at = connection.execute(select(now_ms())).scalar_one()
        return datetime.fromtimestamp(at / 1000, UTC)

    def keys_of_jobs(self) -> set[str]:
        """Keys of jobs that are queued or at work."""
        with self.reading() as connection:
            return set(connection.execute(select(jobs.c.key).where(jobs.c.state.in_(_OPEN))).scalars())

    def sweep_jobs(self, days: float) -> int:
        """Forget jobs that ended so many days ago. Returns how many."""
        ended = jobs.c.state.not_in(_OPEN) & (jobs.c.ended < now_ms() - int(min(days, _EVER_DAYS) * _DAY_MS))
        with self.writing() as connection:
            return connection.execute(delete(jobs).where(ended)).rowcount

    def _unheard(self, connection: Connection, new: Iterable[NewJob]) -> set[tuple[str, str]]:
        """Runs and keys of jobs of the same runs of whose end nobody has heard."""
        query = select(jobs.c.run, jobs.c.key).where(jobs.c.run.in_({job.run for job in new}), jobs.c.told.is_(False))
        return {(run, key) for run, key in connection.execute(query)}

    def _claim(
        self, connection: Connection, queues: Sequence[str], me: Owner, ttl: float, passed_by: Sequence[int] = ()
    ) -> tuple[Job, Lease] | int | None:
        """A number is that of a job whose key is being built for another run: it rests for a moment."""
        row = self._next(connection, queues, passed_by)
        if row is None:
            return None
        token = self.take_lease(connection, row.key, me, ttl)
        if token is None:
            connection.execute(REST, {"job": row.id})
            return int(row.id)
        connection.execute(TAKE, {"job": row.id, "taken_token": token})
        values = {column.name: getattr(row, column.name) for column in JOB}
        return Job(**values, attempts=row.attempts + 1), Lease(key=row.key, owner=me, token=token, ttl=ttl)

    def _next(self, connection: Connection, queues: Sequence[str], passed_by: Sequence[int]) -> Row[Any] | None:
        """The first job of the queue whose first one is the most urgent of all, locked."""
        order = list(queues)
        if len(order) > 1:
            order = list(connection.execute(first_queues(tuple(queues))).scalars())
        first, but = (FIRST_LOCKED_BUT, {"passed_by": passed_by}) if passed_by else (FIRST_LOCKED, {})
        for queue in order:
            locked: Any = connection.execute(first, {"in_queue": queue, **but}).first()
            if locked is not None:
                return cast("Row[Any]", locked)
        return None

    def _end_lease(self, lease: Lease, job: Job, values: Mapping[str, Any]) -> bool:
        with self.writing() as connection:
            return self._finish(connection, lease, job, values)

    def _say(self, connection: Connection, lease: Lease, job: Job, state: JobState, outcome: Mapping[str, Any]) -> bool:
        if not self.drop_lease(connection, lease):
            return False
        said = {"job": job.id, "lease": lease.token, "to_state": state, "to_outcome": dict(outcome)}
        return connection.execute(SAY, said).rowcount == 1

    def _finish(self, connection: Connection, lease: Lease, job: Job, values: Mapping[str, Any]) -> bool:
        if not self.drop_lease(connection, lease):
            return False
        mine = (jobs.c.id == job.id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.token == lease.token)
        return connection.execute(update(jobs).where(mine).values(values)).rowcount == 1

    def _requeue(self, row: Row[Any]) -> int:
        same = (jobs.c.id == row.id) & (jobs.c.state == JobState.RUNNING) & (jobs.c.token == row.job_token)
        values: dict[str, Any] = {"state": JobState.QUEUED}
        if row.attempts >= MAX_ATTEMPTS:
            said = f"the workers that had it died, {row.attempts} times: the last words of the log may say why"
            values = {"state": JobState.FAILED, "outcome": {"state": "failed", "message": said}, "ended": now_ms()}
        with self.writing() as connection:
            if not row.lost and not self.take_away(connection, row):
                return 0  # it showed a heartbeat meanwhile
            moved = connection.execute(update(jobs).where(same).values(values)).rowcount
            if moved and values["state"] is JobState.QUEUED:
                self.add(connection, RETRY, "job")
            return moved


def _row(job: NewJob, at: int) -> dict[str, Any]:
    return {
        "run": job.run,
        "key": job.key,
        "what": job.what,
        "queue": job.queue,
        "rank": -int(job.urgency * 1000),
        "state": JobState.QUEUED,
        "payload": job.payload,
        "signature": job.signature,
        "signer": job.signer,
        "created": at,
    }


def _end(row: Row[Any]) -> JobEnd:
    return JobEnd(id=row.id, key=row.key, what=row.what, state=JobState(row.state), outcome=row.outcome or {})
