"""Who asks hears that nobody works on it."""

from __future__ import annotations

import pytest
from plans import digest
from test_fleet_orders import ledger

from farm.errors import StoreError
from farm.fleet.waiting import Waiting
from farm.model.job import NewJob, QueueDepth
from farm.store.ledger import Ledger

__all__ = ["ledger"]  # a fixture
BOTH = ("build", "test.wine")


def _ask(ledger: Ledger, *queues: str) -> None:
    ledger.submit_jobs(
        NewJob(run="r", what=name, key=digest(name), queue=name, payload="{}", signature="", signer="")
        for name in queues
    )


def _waiting(ledger: Ledger) -> Waiting:
    return Waiting(ledger.queue_depths, patience=0.0, rest=0.0)


def test_who_asks_is_told_once_a_queue_that_no_worker_comes(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    waiting = _waiting(ledger)
    _ask(ledger, "build")
    waiting.look({"build"}, ended=False)
    waiting.look({"build"}, ended=False)
    assert [record.message.split(":")[0] for record in caplog.records] == ["no worker takes what waits (build"]
    assert "does a `farm worker` run that serves it" in caplog.text
    _ask(ledger, "test.wine")
    waiting.look(BOTH, ended=False)
    assert "(test.wine: 1)" in caplog.text


def test_nothing_is_said_while_somebody_works_or_the_jobs_are_of_others(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = _waiting(ledger)
    _ask(ledger, *BOTH)
    waiting.look({"pr.build"}, ended=False)
    waiting.look(BOTH, ended=True)
    assert ledger.claim_job(["build"]) is not None  # its worker may serve the other queue next
    waiting.look(BOTH, ended=False)
    assert not caplog.records


def test_a_ledger_that_is_away_is_told_of_by_others(caplog: pytest.LogCaptureFixture) -> None:
    def away() -> tuple[QueueDepth, ...]:
        raise StoreError("the ledger does not answer")

    Waiting(away, patience=0.0).look(BOTH, ended=False)
    assert not caplog.records
