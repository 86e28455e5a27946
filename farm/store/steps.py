"""The ledger's memory of steps: what was planned, from which inputs, and what was built."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Select, func, select

from farm.model.artifact import Artifact
from farm.model.plan import KeyInput, Step
from farm.store.database import Database, chunks, now
from farm.store.records import BuiltStep, KnownStep
from farm.store.tables import artifacts, attempts, inputs, steps

_KEY_BEGIN = 8  # characters of a key that are enough to mean it
_STEP = tuple(c for c in steps.columns)
_ARTIFACT = (artifacts.c.filename, artifacts.c.sha256, artifacts.c.size, artifacts.c.built)


class StepRecords(Database):
    """Steps, their inputs, their artifacts."""

    def record_plan(self, plan: Iterable[Step]) -> int:
        """Remember the steps that are new, with their inputs. Returns how many were."""
        by_key = {step.key: step for step in plan}
        known = self._known(by_key, steps.c.key)
        new = [step for key, step in by_key.items() if key not in known]
        for part in chunks(new):
            with self.writing() as connection:
                self.insert_new(connection, steps, [_step_row(step) for step in part])
                self.insert_new(connection, inputs, [row for step in part for row in _input_rows(step)])
        return len(new)

    def record_artifacts(self, found: Iterable[Artifact]) -> None:
        """Remember artifacts of recorded steps; those that are known stay as they are."""
        by_key = {artifact.key: artifact for artifact in found}
        known = self._known(by_key, artifacts.c.key)
        at = now()
        for part in chunks(a for key, a in by_key.items() if key not in known):
            with self.writing() as connection:
                self.insert_new(connection, artifacts, [{**asdict(a), "built": at} for a in part])

    def inputs_of(self, key: str) -> tuple[KeyInput, ...]:
        """The inputs of a recorded step in their order; empty if the key is unknown."""
        query = select(inputs.c.label, inputs.c.digest, inputs.c.shown).where(inputs.c.key == key)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(inputs.c.position)).all()
        return tuple(KeyInput(label=r.label, digest=r.digest, shown=r.shown) for r in rows)

    def step(self, key: str) -> KnownStep | None:
        """What is known of the step of a key; None if it was never planned."""
        with self.reading() as connection:
            row = connection.execute(select(*_STEP).where(steps.c.key == key)).first()
        return None if row is None else _known_step(row)

    def last_built(self, slot: str, *, but: str = "") -> BuiltStep | None:
        """The newest build of a slot, or of one step if its full id is given; `but` is a key to leave out."""
        column = steps.c.id if "@" in slot else steps.c.slot
        query = _built().where(column == slot, steps.c.key != but).order_by(artifacts.c.built.desc(), steps.c.key)
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else self._built_step(row)

    def last_built_on(self, platform: str) -> BuiltStep | None:
        """The newest build for a platform."""
        query = _built().where(steps.c.platform == platform).order_by(artifacts.c.built.desc(), steps.c.key)
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else self._built_step(row)

    def built(self, key: str) -> BuiltStep | None:
        """What is known of the build of a key."""
        with self.reading() as connection:
            row = connection.execute(_built().where(steps.c.key == key)).first()
        return None if row is None else self._built_step(row)

    def pythons(self) -> tuple[str, ...]:
        """The Python tags that dependents were ever planned for."""
        query = select(steps.c.python).where(steps.c.python.is_not(None)).distinct().order_by(steps.c.python)
        with self.reading() as connection:
            return tuple(connection.execute(query).scalars())

    def matching(self, text: str) -> tuple[KnownStep, ...]:
        """Recorded steps that a person may mean: by id, slot, recipe, beginning of an id or of a key (8 characters).

        Those that were tried last come first.
        """
        begin = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        same = (steps.c.id == text) | (steps.c.slot == text) | (steps.c.recipe == text)
        same |= steps.c.id.like(begin, escape="\\") | steps.c.slot.like(begin, escape="\\")
        if len(text) >= _KEY_BEGIN:
            same |= steps.c.key.like(begin, escape="\\")
        newest = select(func.max(attempts.c.id)).where(attempts.c.key == steps.c.key).scalar_subquery()
        query = select(*_STEP).where(same).order_by(func.coalesce(newest, 0).desc(), steps.c.id)
        with self.reading() as connection:
            return tuple(_known_step(row) for row in connection.execute(query))

    def newest_keys(self) -> set[str]:
        """The key of the newest build of each slot."""
        rank = func.row_number().over(
            partition_by=steps.c.slot, order_by=(artifacts.c.built.desc(), steps.c.first_seen.desc())
        )
        ranked = select(steps.c.key, rank.label("rank")).join(artifacts, artifacts.c.key == steps.c.key).subquery()
        with self.reading() as connection:
            return set(connection.execute(select(ranked.c.key).where(ranked.c.rank == 1)).scalars())

    def _built_step(self, row: Row[Any]) -> BuiltStep:
        return BuiltStep(
            step=_known_step(row),
            built=row.built,
            filename=row.filename,
            sha256=row.sha256,
            size=row.size,
            inputs=self.inputs_of(row.key),
        )

    def _known(self, keys: Collection[str], column: Any) -> set[str]:
        found: set[str] = set()
        with self.reading() as connection:
            for part in chunks(keys):
                found.update(connection.execute(select(column).where(column.in_(part))).scalars())
        return found


def _built() -> Select[Any]:
    return select(*_STEP, *_ARTIFACT).join(artifacts, artifacts.c.key == steps.c.key)


def _known_step(row: Row[Any]) -> KnownStep:
    return KnownStep(**{column.name: getattr(row, column.name) for column in _STEP})


def _step_row(step: Step) -> dict[str, Any]:
    return {
        "key": step.key,
        "id": step.id,
        "slot": step.slot,
        "recipe": step.recipe,
        "version": step.version,
        "platform": step.platform,
        "kind": step.kind,
        "python": step.python,
        "first_seen": now(),
    }


def _input_rows(step: Step) -> list[dict[str, Any]]:
    return [
        {"key": step.key, "position": position, "label": i.label, "digest": i.digest, "shown": i.shown}
        for position, i in enumerate(step.inputs)
    ]
