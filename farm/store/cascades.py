"""The ledger's memory of cascades: what they are, how far, what they hold back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from farm.errors import UsageError
from farm.model.cascade import ENDED, Cascade, CascadeKind, CascadeState, Draft, Fence, Scope, TaskState
from farm.model.happening import Kind
from farm.model.rework import Verb
from farm.store.cascade_tables import cascades, edges, fences, plan_steps, tasks
from farm.store.database import Database, chunks, now
from farm.store.happenings import about_cascade, kind_of_move, note

_BULK = 5000  # rows per statement of many
_OPEN = tuple(state for state in CascadeState if state not in ENDED)


class CascadeRecords(Database):
    """Cascades as a whole; their tasks are in `farm.store.cascade_tasks`."""

    def create_cascade(self, draft: Draft) -> Cascade:
        """Write a cascade down with all its tasks, or nothing of it. Raises StoreError."""
        at = now()
        values = _shared(draft) | {"state": CascadeState.PLANNED, "checks": {}, "created": at, "updated": at}
        with self.writing() as connection:
            done = connection.execute(insert(cascades).values(values))
            assert done.inserted_primary_key is not None
            id_ = int(done.inserted_primary_key[0])
            self._fill(connection, id_, draft)
            note(connection, Kind.STARTED, about_cascade(id_), cascade=id_, text=draft.reason)
        return self.cascade(id_)

    def replan_cascade(self, id_: int, draft: Draft, *, note: str) -> Cascade:
        """Let a cascade do something else than it was planned to, from the beginning: what was done already is found
        again by its key. Fences stay. Raises StoreError."""
        values = _shared(draft) | {"state": CascadeState.PLANNED, "staged": 0, "checks": {}, "note": note}
        with self.writing() as connection:
            connection.execute(update(cascades).where(cascades.c.id == id_).values(values | {"updated": now()}))
            for table in (edges, tasks, plan_steps):
                connection.execute(delete(table).where(table.c.cascade == id_))
            self._fill(connection, id_, draft)
            held = [fence.recipe for fence in self._fences(connection, id_)]
            for part in chunks(held):
                mine = (tasks.c.cascade == id_) & tasks.c.recipe.in_(part)
                connection.execute(update(tasks).where(mine).values(state=TaskState.FENCED))
        return self.cascade(id_)

    def cascade(self, id_: int) -> Cascade:
        """Raises UsageError if there is none of this number."""
        with self.reading() as connection:
            row = connection.execute(select(cascades).where(cascades.c.id == id_)).first()
        if row is None:
            raise UsageError(f"there is no cascade {id_}", where="CASCADE", fix="`farm cascade list` shows them")
        return _cascade(row)

    def cascades(self, *, unfinished: bool = False) -> tuple[Cascade, ...]:
        """All cascades, or those that have not ended, the oldest first."""
        query = select(cascades).order_by(cascades.c.id)
        with self.reading() as connection:
            rows = connection.execute(query.where(cascades.c.state.in_(_OPEN)) if unfinished else query).all()
        return tuple(_cascade(row) for row in rows)

    def move_cascade(self, id_: int, state: CascadeState, *, of: Collection[CascadeState], **values: Any) -> bool:
        """Put a cascade into a state if it is in one of `of`; `values` are other fields of it. False if it was not."""
        moved = {"state": state, "updated": now(), **values}
        if state in ENDED:
            moved.setdefault("finished", now())
        mine = (cascades.c.id == id_) & cascades.c.state.in_(tuple(of))
        with self.writing() as connection:
            before = connection.execute(select(cascades.c.state).where(cascades.c.id == id_).with_for_update()).scalar()
            if connection.execute(update(cascades).where(mine).values(moved)).rowcount != 1:
                return False
            if (kind := kind_of_move(before, state)) is not None:
                text = str(values.get("note", ""))
                note(connection, kind, about_cascade(id_), cascade=id_, text=text, details={"before": before})
            return True

    def rivals(self, cascade: Cascade) -> tuple[Cascade, ...]:
        """Unfinished cascades of the same channel that make wheels of slots that this one makes wheels of, too."""
        mine, theirs = tasks.alias("mine"), tasks.alias("theirs")
        shared = (
            select(theirs.c.position)
            .join(mine, mine.c.slot == theirs.c.slot)
            .where(mine.c.cascade == cascade.id, theirs.c.cascade == cascades.c.id)
            .where(mine.c.verb != Verb.TEST, theirs.c.verb != Verb.TEST)
            .exists()
        )
        others = (cascades.c.id != cascade.id) & (cascades.c.channel == cascade.channel) & cascades.c.state.in_(_OPEN)
        with self.reading() as connection:
            rows = connection.execute(select(cascades).where(others, shared).order_by(cascades.c.id)).all()
        return tuple(_cascade(row) for row in rows)

    def fence(self, id_: int, recipes: Iterable[str], until: datetime, reason: str) -> None:
        """Leave recipes out of a cascade. Raises UsageError if it does not work on one, or if another recipe's task
        requires one of theirs: that one would be held back in silence."""
        wanted = tuple(dict.fromkeys(recipes))
        with self.writing() as connection:
            touch(connection, id_)
            known = set(
                connection.execute(
                    select(tasks.c.recipe).where(tasks.c.cascade == id_, tasks.c.recipe.in_(wanted)).distinct()
                ).scalars()
            )
            if missing := [name for name in wanted if name not in known]:
                raise UsageError(
                    f"cascade {id_} does nothing with {missing[0]}",
                    where="RECIPE",
                    fix=f"`farm cascade show {id_}` lists its tasks",
                )
            if behind := self._behind(connection, id_, wanted):
                raise UsageError(
                    f"{', '.join(behind)} cannot go on without {', '.join(wanted)}",
                    where="RECIPE",
                    fix=f"fence them together: {' '.join((*wanted, *behind))}",
                )
            values = {"until": until, "reason": reason, "at": now()}
            connection.execute(delete(fences).where(fences.c.cascade == id_, fences.c.recipe.in_(wanted)))
            connection.execute(insert(fences), [{"cascade": id_, "recipe": name, **values} for name in wanted])
            said = {"recipes": list(wanted), "until": until.isoformat()}
            text = f"{', '.join(wanted)} until {until:%Y-%m-%d}: {reason}"
            note(connection, Kind.FENCED, about_cascade(id_), cascade=id_, text=text, details=said)
            mine = (tasks.c.cascade == id_) & tasks.c.recipe.in_(wanted) & (tasks.c.state != TaskState.DONE)
            connection.execute(update(tasks).where(mine).values(state=TaskState.FENCED, culprit=""))

    def lift_fences(self, id_: int, recipes: Collection[str]) -> None:
        """Take recipes into a cascade again: their tasks begin anew."""
        with self.writing() as connection:
            touch(connection, id_)
            connection.execute(delete(fences).where(fences.c.cascade == id_, fences.c.recipe.in_(recipes)))
            mine = (tasks.c.cascade == id_) & (tasks.c.state == TaskState.FENCED) & tasks.c.recipe.in_(recipes)
            reopen(connection, mine)

    def fences(self, id_: int) -> tuple[Fence, ...]:
        """What a cascade leaves out, by recipe."""
        with self.reading() as connection:
            return self._fences(connection, id_)

    def _fences(self, connection: Connection, id_: int) -> tuple[Fence, ...]:
        rows = connection.execute(select(fences).where(fences.c.cascade == id_).order_by(fences.c.recipe))
        return tuple(Fence(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public name

    def _behind(self, connection: Connection, id_: int, recipes: tuple[str, ...]) -> tuple[str, ...]:
        """Other recipes whose tasks require one of these recipes' tasks and are not done."""
        needed, behind = tasks.alias("needed"), tasks.alias("behind")
        query = (
            select(behind.c.recipe)
            .distinct()
            .select_from(needed)
            .join(edges, (edges.c.cascade == needed.c.cascade) & (edges.c.needed == needed.c.position))
            .join(behind, (behind.c.cascade == edges.c.cascade) & (behind.c.position == edges.c.task))
            .where(needed.c.cascade == id_, needed.c.recipe.in_(recipes), behind.c.recipe.not_in(recipes))
            .where(behind.c.state.not_in((TaskState.FENCED,)))
            .order_by(behind.c.recipe)
        )
        return tuple(connection.execute(query).scalars())

    def _fill(self, connection: Connection, id_: int, draft: Draft) -> None:
        position = {drafted.task.id: number for number, drafted in enumerate(draft.tasks)}
        steps = {step.id: step for step in draft.steps}
        rows: list[dict[str, Any]] = []
        links: list[dict[str, Any]] = []
        for number, drafted in enumerate(draft.tasks):
            task, step = drafted.task, steps[drafted.task.step]
            needed = sorted({position[name] for name in task.requires})
            links += [{"cascade": id_, "needed": other, "task": number} for other in needed]
            rows.append(
                {
                    "cascade": id_,
                    "position": number,
                    "rank": drafted.rank,
                    "id": task.id,
                    "verb": task.verb,
                    "step": task.step,
                    "slot": step.slot,
                    "recipe": step.recipe,
                    "platform": step.platform,
                    "key": task.key,
                    "source": drafted.source,
                    "why": task.why,
                    "seconds": task.seconds,
                    "natives": dict(task.natives),
                    "state": TaskState.WAITING if needed else TaskState.READY,
                    "missing": len(needed),
                }
            )
        planned = [{"cascade": id_, **_step_row(asdict(step))} for step in steps.values()]
        for table, values in ((tasks, rows), (edges, links), (plan_steps, planned)):
            for part in chunks(values, _BULK):
                connection.execute(insert(table), part)


def reopen(connection: Connection, where: Any) -> None:
    """Tasks may be carried out again, once what they require is done."""
    anew = {"attempts": 0, "not_before": 0, "culprit": ""}
    connection.execute(update(tasks).where(where, tasks.c.missing == 0).values(state=TaskState.READY, **anew))
    connection.execute(update(tasks).where(where, tasks.c.missing > 0).values(state=TaskState.WAITING, **anew))


def touch(connection: Connection, id_: int) -> None:
    """Note that something happened to a cascade; others who write to it wait until this transaction ends."""
    done = connection.execute(update(cascades).where(cascades.c.id == id_).values(updated=now()))
    if done.rowcount != 1:
        raise UsageError(f"there is no cascade {id_}", where="CASCADE", fix="`farm cascade list` shows them")


def _shared(draft: Draft) -> dict[str, Any]:
    return {
        "kind": draft.kind,
        "what": draft.what,
        "reason": draft.reason,
        "priority": draft.priority,
        "channel": draft.channel,
        "catalog": draft.catalog,
        "before": draft.before,
        "scope": asdict(draft.scope),
        "base": draft.base,
        "untouched": draft.untouched,
        "saved": draft.saved,
        "verdicts": dict(draft.verdicts),
    }


def _step_row(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "inputs"} | {"requires": list(step["requires"])}


def _cascade(row: Row[Any]) -> Cascade:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    scope = Scope(**{name: tuple(value) for name, value in values.pop("scope").items()})
    kind, state = CascadeKind(values.pop("kind")), CascadeState(values.pop("state"))
    return Cascade(kind=kind, state=state, scope=scope, **values)
