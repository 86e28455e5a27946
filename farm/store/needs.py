"""What jobs of a fleet need of the store beside their keys: the catalogs that they are planned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from farm.model import json_text
from farm.model.job import JobState
from farm.store.job_tables import jobs

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_OPEN = (JobState.QUEUED, JobState.RUNNING)


def catalogs_of_jobs(ledger: Ledger) -> set[str]:
    """Hashes of the catalogs of jobs that are queued or at work: they are the keys of their bundles."""
    with ledger.reading() as connection:
        payloads = connection.execute(select(jobs.c.payload).where(jobs.c.state.in_(_OPEN))).scalars()
        return {str(found) for payload in payloads if (found := json_text.loads(payload).get("catalog"))}
