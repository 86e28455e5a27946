"""The ledger's memory of attempts: every try to build a step, whatever became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from farm.model.artifact import Artifact
from farm.model.events import State
from farm.store.database import chunks, now
from farm.store.owner import Owner, this_process
from farm.store.records import Attempt
from farm.store.tables import artifacts, attempts, steps
from farm.store.tallies import TallyRecords

_HISTORY = 20_000  # attempts that durations look back
_KEPT_ERROR = 20_000  # characters
_DIED = "its process ended without a word (killed, or the machine stopped)"
_ATTEMPT = tuple(c for c in attempts.columns if c.name != "owner")


class AttemptRecords(TallyRecords):
    """Attempts and what they cost."""

    def start_attempt(self, key: str, *, log: str = "", owner: Owner | None = None) -> int:
        """A try begins; returns its number. Tries of the key that still count as running are closed as cancelled:
        only the holder of the key's lease starts one, so whoever ran them is gone. Raises StoreError."""
        me = owner or this_process()
        with self.writing() as connection:
            connection.execute(
                update(attempts)
                .where(attempts.c.key == key, attempts.c.state == State.RUNNING)
                .values(state=State.CANCELLED, finished=now(), error=_DIED)
            )
            row = {"key": key, "state": State.RUNNING, "started": now(), "log": log}
            row |= {"host": me.host, "pid": me.pid, "owner": str(me)}
            done = connection.execute(insert(attempts).values(row))
            assert done.inserted_primary_key is not None
            return int(done.inserted_primary_key[0])

    def set_phase(self, attempt: int, phase: str) -> None:
        """Say where a running try is; one that is closed stays as it is. Raises StoreError."""
        mine = (attempts.c.id == attempt) & (attempts.c.state == State.RUNNING)
        with self.writing() as connection:
            connection.execute(update(attempts).where(mine).values(phase=phase))

    def finish_attempt(
        self,
        attempt: int,
        state: State,
        *,
        phase: str = "",
        error: str = "",
        seconds: float = 0.0,
        cpu_seconds: float = 0.0,
        artifact: Artifact | None = None,
    ) -> bool:
        """A try ends; its artifact is recorded in the same transaction. Durations are in seconds.

        Returns False if it had ended already. One that was only taken for dead had not, for who speaks lives: a process
        that is stopped before it begins a try, and goes on while another builds, closes the try of that one.
        """
        values = {"state": state, "finished": now(), "phase": phase, "error": error[-_KEPT_ERROR:]}
        values |= {"seconds": seconds, "cpu_seconds": cpu_seconds}
        with self.writing() as connection:
            if artifact is not None:
                row = {"key": artifact.key, "filename": artifact.filename, "sha256": artifact.sha256}
                self.insert_new(connection, artifacts, [row | {"size": artifact.size, "built": now()}])
            taken_for_dead = (attempts.c.state == State.CANCELLED) & (attempts.c.error == _DIED)
            mine = (attempts.c.id == attempt) & ((attempts.c.state == State.RUNNING) | taken_for_dead)
            ended = update(attempts).where(mine).values(values).returning(attempts.c.key)
            key = connection.execute(ended).scalar()
            if key is not None:
                self.tally_attempt(connection, key, state, seconds)
            return key is not None

    def attempts_of(self, key: str) -> tuple[Attempt, ...]:
        """All tries of a key, newest first."""
        query = select(*_ATTEMPT).where(attempts.c.key == key).order_by(attempts.c.id.desc())
        with self.reading() as connection:
            return tuple(_attempt(row) for row in connection.execute(query))

    def last_attempt(self, key: str) -> Attempt | None:
        """The newest try to build a key; None if there was none."""
        query = select(*_ATTEMPT).where(attempts.c.key == key).order_by(attempts.c.id.desc()).limit(1)
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _attempt(row)

    def last_attempts(self, keys: Iterable[str]) -> dict[str, Attempt]:
        """The newest try of each key that has one."""
        found: dict[str, Attempt] = {}
        with self.reading() as connection:
            for part in chunks(keys):
                newest = select(func.max(attempts.c.id)).where(attempts.c.key.in_(part)).group_by(attempts.c.key)
                for row in connection.execute(select(*_ATTEMPT).where(attempts.c.id.in_(newest))):
                    found[row.key] = _attempt(row)
        return found

    def durations(self, *, cpu: bool = False) -> dict[str, float]:
        """Median wall (or CPU) seconds of the successful builds of each slot."""
        query = (
            select(steps.c.slot, attempts.c.cpu_seconds if cpu else attempts.c.seconds)
            .join(steps, steps.c.key == attempts.c.key)
            .where(attempts.c.state == State.BUILT)
            .order_by(attempts.c.id.desc())
            .limit(_HISTORY)
        )
        seen: dict[str, list[float]] = defaultdict(list)
        with self.reading() as connection:
            for slot, seconds in connection.execute(query):
                seen[slot].append(seconds)
        return {slot: median(values) for slot, values in seen.items()}


def _attempt(row: Row[Any]) -> Attempt:
    values = {column.name: getattr(row, column.name) for column in _ATTEMPT}
    return Attempt(**{**values, "state": State(values["state"])})
