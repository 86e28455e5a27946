"""The ledger: what happened. SQLite by default, PostgreSQL by URL, the same code.

Importing this module imports SQLAlchemy (a quarter of a second): commands import it only when they need it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from farm.store.attempts import AttemptRecords
from farm.store.cascade_tasks import CascadeTaskRecords
from farm.store.cascades import CascadeRecords
from farm.store.happenings import HappeningRecords
from farm.store.jobs import JobRecords
from farm.store.looking import LookRecords
from farm.store.schema import open_engine
from farm.store.steps import StepRecords
from farm.store.task_history import TaskHistoryRecords
from farm.store.verdicts import VerdictRecords


class Ledger(
    StepRecords,
    AttemptRecords,
    VerdictRecords,
    CascadeRecords,
    CascadeTaskRecords,
    TaskHistoryRecords,
    HappeningRecords,
    LookRecords,
    JobRecords,
):
    """Steps seen, attempts, artifacts, leases, verdicts and findings; cascades and their tasks; jobs of the fleet.

    Threads may share one; a forked process opens its own. Every method raises StoreError, or UnavailableError (which
    has `retryable = True`) if the database does not answer now.
    """

    @classmethod
    def open(cls, database: str | Path) -> Self:
        """Open a SQLite file, `sqlite:///PATH` or `postgresql://...`; the schema is created or upgraded under a lock.

        Raises StoreError if a newer farm made it.
        """
        return cls(open_engine(database))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
