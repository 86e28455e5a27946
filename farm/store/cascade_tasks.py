"""The ledger's memory of what cascades do: which task may be carried out, and what became of it.

Every write about a task holds the lease of its key and proves it in the same transaction. No method here reads more
than what it returns, but `progress` and `wheels_of`, which look at one cascade as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, Row, case, func, select, update

from farm.model.cascade import CascadeTask, Progress, TaskState
from farm.model.happening import Kind
from farm.model.plan import Step
from farm.model.rework import Verb
from farm.store.cascade_tables import edges, fences, plan_steps, results, tasks
from farm.store.cascades import reopen, touch
from farm.store.database import chunks, now
from farm.store.happenings import about_cascade, first_line, note
from farm.store.leases import LeaseRecords
from farm.store.records import Lease
from farm.store.tables import is_past, now_ms
from farm.store.tallies import CACHED, RETRY, TallyRecords

_KEPT_ERROR = 20_000  # characters
_PAGE = 1000
_COLUMNS = tuple(c for c in tasks.columns if c.name not in ("rank", "slot"))


class CascadeTaskRecords(LeaseRecords, TallyRecords):
    """Tasks of cascades, the steps they work on, results of tests."""

    def ready_tasks(self, cascade: int, limit: int) -> tuple[CascadeTask, ...]:
        """The most urgent tasks that may be carried out now, at most `limit`; others may be at work on some of them."""
        frontier = (tasks.c.cascade == cascade) & (tasks.c.state == TaskState.READY) & is_past(tasks.c.not_before)
        query = select(*_COLUMNS).where(frontier).order_by(tasks.c.rank).limit(limit)
        with self.reading() as connection:
            return tuple(_task(row) for row in connection.execute(query))

    def task_at(self, cascade: int, position: int) -> CascadeTask | None:
        """One task; None if there is none at this position."""
        query = select(*_COLUMNS).where(tasks.c.cascade == cascade, tasks.c.position == position)
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _task(row)

    def next_try(self, cascade: int) -> float | None:
        """Seconds until the first of the tasks that met a fault is tried again, 0 if that is now; None if none is left.

        A task whose moment comes between this question and the last `ready_tasks` must be in one of the answers."""
        first = select(func.min(tasks.c.not_before) - now_ms()).where(
            tasks.c.cascade == cascade, tasks.c.state == TaskState.READY, tasks.c.not_before > 0
        )
        with self.reading() as connection:
            left = connection.execute(first).scalar()
        return None if left is None else max(0.0, left / 1000)

    def open_verbs(self, cascade: int) -> frozenset[Verb]:
        """What is still to be done: the verbs of tasks that wait or are ready."""
        found = set()
        with self.reading() as connection:
            for verb in Verb:
                mine = (tasks.c.cascade == cascade) & (tasks.c.verb == verb)
                for state in (TaskState.READY, TaskState.WAITING):
                    query = select(tasks.c.position).where(mine, tasks.c.state == state).limit(1)
                    if verb not in found and connection.execute(query).first() is not None:
                        found.add(verb)
        return frozenset(found)

    def finish_task(self, lease: Lease, task: CascadeTask, *, note: str, took: float, reused: bool) -> bool:
        """A task is done; those for which it was the last they required are ready. A test that passed is remembered by
        its key, for all cascades. False if the lease was lost or the task is closed: then nothing is written."""
        with self.writing() as connection:
            if not self._close(connection, lease, task, TaskState.DONE, note=note, took=took, reused=reused, error=""):
                return False
            if reused:
                self.add(connection, CACHED, "")
            if task.verb is Verb.TEST and not note and not reused:
                row = {"key": task.key, "note": note, "took": took, "at": now()}
                connection.execute(self._insert(results), [row])
            waits = select(edges.c.task).where(edges.c.cascade == task.cascade, edges.c.needed == task.position)
            freed = (tasks.c.missing == 1) & (tasks.c.state == TaskState.WAITING)
            connection.execute(
                update(tasks)
                .where(tasks.c.cascade == task.cascade, tasks.c.position.in_(waits))
                .values(missing=tasks.c.missing - 1, state=case((freed, TaskState.READY), else_=tasks.c.state))
            )
            return True

    def delay_task(self, lease: Lease, task: CascadeTask, *, error: str, seconds: float) -> bool:
        """A task met a fault that may pass: it is tried again after `seconds`."""
        values = {"attempts": tasks.c.attempts + 1, "not_before": now_ms() + int(seconds * 1000)}
        with self.writing() as connection:
            delayed = self._close(connection, lease, task, TaskState.READY, error=error[-_KEPT_ERROR:], **values)
            if delayed:
                self.add(connection, RETRY, "task")
            return delayed

    def fail_task(self, lease: Lease, task: CascadeTask, *, error: str, took: float) -> bool:
        """A task is refused; all that requires it, directly or not, is blocked. All others go on."""
        with self.writing() as connection:
            values = {"error": error[-_KEPT_ERROR:], "took": took, "attempts": tasks.c.attempts + 1}
            is_first = (
                connection.execute(select(tasks.c.position).where(_failed(task.cascade)).limit(1)).first() is None
            )
            if not self._close(connection, lease, task, TaskState.FAILED, **values):
                return False
            if is_first:  # the others are in the summary of the cascade, and in that it waits
                said = {"task": task.id, "recipe": task.recipe, "platform": task.platform}
                text = f"{task.id}: {first_line(error)}"
                about = about_cascade(task.cascade)
                note(connection, Kind.FAILED, about, cascade=task.cascade, key=task.key, text=text, details=said)
            behind = (
                select(edges.c.task)
                .where(edges.c.cascade == task.cascade, edges.c.needed == task.position)
                .cte("behind", recursive=True)
            )
            further = edges.alias("further")
            behind = behind.union(
                select(further.c.task).where(further.c.cascade == task.cascade, further.c.needed == behind.c.task)
            )
            doomed = (tasks.c.cascade == task.cascade) & tasks.c.position.in_(select(behind.c.task))
            connection.execute(
                update(tasks)
                .where(doomed, tasks.c.state.in_((TaskState.WAITING, TaskState.READY)))
                .values(state=TaskState.BLOCKED, culprit=task.id)
            )
            return True

    def retry_failed(self, cascade: int) -> int:
        """Let failed tasks, and those that they block, begin anew. Returns how many had failed."""
        with self.writing() as connection:
            touch(connection, cascade)
            mine = tasks.c.cascade == cascade
            failed = connection.execute(
                select(func.count()).select_from(tasks).where(mine, tasks.c.state == TaskState.FAILED)
            ).scalar_one()
            reopen(connection, mine & tasks.c.state.in_((TaskState.FAILED, TaskState.BLOCKED)))
            return int(failed)

    def forget_done(self, cascade: int, keys: Collection[str]) -> int:
        """Wheels of these keys are gone from the store: their tasks, and all that requires them, begin anew. Returns
        how many wheels are made again."""
        with self.writing() as connection:
            touch(connection, cascade)
            gone: list[int] = []
            for part in chunks(keys):
                mine = (tasks.c.cascade == cascade) & (tasks.c.verb != Verb.TEST) & tasks.c.key.in_(part)
                query = select(tasks.c.position).where(mine, tasks.c.state == TaskState.DONE)
                gone += connection.execute(query).scalars().all()
            for position in gone:
                reopen(connection, (tasks.c.cascade == cascade) & (tasks.c.position == position))
            for done in chunks(gone):  # what came after it is done with the wheel that was: its tests stay passed
                waits = select(edges.c.task).where(edges.c.cascade == cascade, edges.c.needed.in_(done))
                undone = (tasks.c.cascade == cascade) & tasks.c.position.in_(waits)
                waiting = case((tasks.c.state == TaskState.READY, TaskState.WAITING), else_=tasks.c.state)
                connection.execute(update(tasks).where(undone).values(missing=tasks.c.missing + 1, state=waiting))
            return len(gone)

    def has_passed(self, key: str) -> bool:
        """Whether a test of this key passed before, in any cascade."""
        with self.reading() as connection:
            return connection.execute(select(results.c.key).where(results.c.key == key)).first() is not None

    def failures(self, cascade: int) -> str:
        """What failed, in a sentence; empty if nothing did."""
        mine = _failed(cascade)
        with self.reading() as connection:
            count = connection.execute(select(func.count()).select_from(tasks).where(mine)).scalar_one()
            first = connection.execute(select(tasks.c.id).where(mine).order_by(tasks.c.rank).limit(3)).scalars().all()
        more = f" and {count - len(first)} more" if count > len(first) else ""
        return f"{count} failed: {', '.join(first)}{more}" if count else ""

    def progress(self, cascade: int) -> Progress:
        """How many tasks are in which state."""
        columns = (tasks.c.verb, tasks.c.state, func.count(), func.sum(tasks.c.took))
        mine = tasks.c.cascade == cascade
        again = (tasks.c.state == TaskState.DONE) & tasks.c.reused
        with self.reading() as connection:
            rows = connection.execute(select(*columns).where(mine).group_by(tasks.c.verb, tasks.c.state)).all()
            reused = connection.execute(select(tasks.c.verb, func.count()).where(mine, again).group_by(tasks.c.verb))
            by_verb = {Verb(verb): int(count) for verb, count in reused}
            noted = select(func.count()).select_from(tasks).where(mine, tasks.c.note != "")
            not_run = connection.execute(noted).scalar_one()
        return Progress(
            counts={(Verb(verb), TaskState(state)): int(count) for verb, state, count, _ in rows},
            reused=by_verb,
            not_run=int(not_run),
            seconds=float(sum(row[3] or 0.0 for row in rows)),
        )

    def tasks_of(self, cascade: int, *states: TaskState, limit: int | None = None) -> tuple[CascadeTask, ...]:
        """Tasks in some states (all, if none is named), in the order of the rework."""
        query = select(*_COLUMNS).where(tasks.c.cascade == cascade).order_by(tasks.c.position)
        query = query.where(tasks.c.state.in_(states)) if states else query
        with self.reading() as connection:
            return tuple(_task(row) for row in connection.execute(query.limit(limit) if limit else query))

    def wheels_of(self, cascade: int) -> Iterator[CascadeTask]:
        """What a cascade offers: tasks that made a wheel, but those of fenced recipes."""
        held = select(fences.c.recipe).where(fences.c.cascade == cascade)
        made = (tasks.c.cascade == cascade) & (tasks.c.state == TaskState.DONE) & (tasks.c.verb != Verb.TEST)
        query = select(*_COLUMNS).where(made, tasks.c.recipe.not_in(held)).order_by(tasks.c.position).limit(_PAGE)
        last = -1
        while True:
            with self.reading() as connection:
                page = connection.execute(query.where(tasks.c.position > last)).all()
            yield from map(_task, page)
            if len(page) < _PAGE:
                return
            last = page[-1].position

    def made_by(self, cascade: int, steps: Collection[str]) -> dict[str, str]:
        """The keys of the wheels that a cascade makes of some steps, by the step's id."""
        mine = (tasks.c.cascade == cascade) & (tasks.c.verb != Verb.TEST)
        found: dict[str, str] = {}
        with self.reading() as connection:
            for part in chunks(steps):
                rows = connection.execute(select(tasks.c.step, tasks.c.key).where(mine, tasks.c.step.in_(part)))
                found.update({row.step: row.key for row in rows})
        return found

    def steps_of(self, cascade: int, ids: Collection[str]) -> dict[str, Step]:
        """Steps of the plan after the change, by id; without their inputs."""
        found: dict[str, Step] = {}
        columns = [c for c in plan_steps.columns if c.name != "cascade"]
        with self.reading() as connection:
            for part in chunks(ids):
                query = select(*columns).where(plan_steps.c.cascade == cascade, plan_steps.c.id.in_(part))
                for row in connection.execute(query):
                    values = {**row._mapping, "requires": tuple(row.requires)}  # noqa: SLF001 - SQLAlchemy's public name
                    found[row.id] = Step(**values, inputs=())
        return found

    def keys_at_work(self, cascade: int) -> set[str]:
        """Keys of all wheels that a cascade makes, moves, tests or needs."""
        with self.reading() as connection:
            mine = select(tasks.c.key, tasks.c.source).where(tasks.c.cascade == cascade)
            found = {key for row in connection.execute(mine) for key in row if key}
            found.update(connection.execute(select(plan_steps.c.key).where(plan_steps.c.cascade == cascade)).scalars())
        return found

    def _close(self, connection: Connection, lease: Lease, task: CascadeTask, state: TaskState, **values: Any) -> bool:
        """Write what became of a ready task, if its lease is still ours."""
        if not self.is_mine(connection, lease):
            return False
        touch(connection, task.cascade)
        mine = (tasks.c.cascade == task.cascade) & (tasks.c.position == task.position)
        ready = mine & (tasks.c.state == TaskState.READY) & (tasks.c.key == task.key)
        return connection.execute(update(tasks).where(ready).values(state=state, **values)).rowcount == 1


def _failed(cascade: int) -> Any:
    return (tasks.c.cascade == cascade) & (tasks.c.state == TaskState.FAILED)


def _task(row: Row[Any]) -> CascadeTask:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    verb, state = Verb(values.pop("verb")), TaskState(values.pop("state"))
    return CascadeTask(verb=verb, state=state, **values)
