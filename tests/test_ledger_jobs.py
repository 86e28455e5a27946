"""Jobs in the ledger, on both databases: each is done once, by whoever has the lease of its key."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plans import digest
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import CacheStats
from test_ledger_database import emptied

from farm.model.job import JobState, NewJob
from farm.store import jobs as job_records
from farm.store.ledger import Ledger
from farm.store.owner import Owner, this_process

FAR = Owner(machine="faraway00000", pid=7, started=1, host="far")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/ledger.sqlite"
    else:
        url = emptied(request.getfixturevalue("server"))
    with Ledger.open(url) as ledger:
        yield ledger


def new(name: str, *, run: str = "r1", queue: str = "build", urgency: float = 0.0) -> NewJob:
    return NewJob(
        run=run, key=digest(name), what=name, queue=queue, payload="{}", signature="s", signer="me", urgency=urgency
    )


def taken(ledger: Ledger, *queues: str, owner: Owner | None = None, ttl: float = 30.0) -> tuple:  # type: ignore[type-arg]
    found = ledger.claim_job(queues or ("build",), owner, ttl)
    assert found is not None
    return found


def test_the_most_urgent_job_of_my_queues_comes_first(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a"), new("b", urgency=2.5), new("c", queue="wine", urgency=9), new("d", urgency=2.5)])
    assert taken(ledger)[0].what == "b"
    assert taken(ledger, "build", "wine")[0].what == "c"
    assert [taken(ledger)[0].what for _ in range(2)] == ["d", "a"]
    assert ledger.claim_job(["build", "wine"]) is None
    assert not ledger.has_queued(["build"])


def test_a_job_from_queue_to_end_is_told_once(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a"), new("b"), new("other", run="r2")])
    job, lease = taken(ledger)
    assert (job.what, job.attempts, ledger.holder(job.key) is not None) == ("a", 1, True)
    assert ledger.ended_jobs("r1") == ()
    assert ledger.finish_job(lease, job, JobState.DONE, {"state": "built"})
    assert ledger.holder(job.key) is None
    job, lease = taken(ledger)
    assert ledger.finish_job(lease, job, JobState.FAILED, {"message": "no"})
    ends = ledger.ended_jobs("r1")
    assert [(end.what, end.state, dict(end.outcome)) for end in ends] == [
        ("a", JobState.DONE, {"state": "built"}),
        ("b", JobState.FAILED, {"message": "no"}),
    ]
    assert ledger.ended_jobs("r1") == ends, "an answer may be lost on its way"
    assert ledger.ended_jobs("r1", ends) == ()
    assert ledger.ended_jobs("r1") == ()


def test_jobs_that_rest_do_not_keep_a_worker_from_those_behind_them(ledger: Ledger) -> None:
    """A large fleet builds for one run what another one asks for, too."""
    busy = [f"busy-{number}" for number in range(40)]
    for name in busy:
        assert ledger.lease(digest(name), FAR, ttl=600.0) is not None
    ledger.submit_jobs([*(new(name, urgency=9.0) for name in busy), new("free")])
    assert taken(ledger)[0].what == "free"


def test_jobs_whose_answer_was_lost_are_queued_once(ledger: Ledger) -> None:
    asked = [new("a"), new("b")]
    ledger.submit_jobs(asked)
    job, lease = taken(ledger)
    assert ledger.finish_job(lease, job, JobState.DONE, {})
    ledger.submit_jobs([*asked, new("c"), new("a", run="r2")], again=True)
    assert [(d.queue, d.queued) for d in ledger.queue_depths()] == [("build", 3)]
    ledger.submit_jobs(asked, again=True)
    assert ledger.cancel_jobs("r1") == 2


def test_a_cancelled_run_leaves_what_is_at_work_and_the_runs_of_others(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a"), new("b"), new("c"), new("theirs", run="r2")])
    job, lease = taken(ledger)
    assert ledger.cancel_jobs("r1") == 2
    assert taken(ledger)[0].what == "theirs"
    assert ledger.claim_job(["build"]) is None
    assert ledger.finish_job(lease, job, JobState.DONE, {})


def test_one_key_for_two_runs_is_done_once_at_a_time(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a"), new("a", run="r2"), new("b", run="r2")])
    job, lease = taken(ledger)
    assert taken(ledger)[0].what == "b", "the second job of the key rests"
    assert ledger.claim_job(["build"]) is None
    ledger.finish_job(lease, job, JobState.DONE, {})
    deadline = time.monotonic() + 10
    while (found := ledger.claim_job(["build"])) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found is not None
    assert (found[0].what, found[0].run) == ("a", "r2")


def test_given_back_it_is_free_at_once_and_counts_as_never_taken(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a")])
    job, lease = taken(ledger)
    assert ledger.give_back(lease, job)
    again, _ = taken(ledger, owner=FAR)
    assert (again.id, again.attempts) == (job.id, 1)


def test_of_a_worker_that_died_on_this_machine_the_job_is_free_at_once(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a")])
    dead = replace(this_process(), pid=2**22 + 1)
    taken(ledger, owner=dead)
    assert ledger.requeue_lost(["wine"]) == 0
    assert ledger.requeue_lost(["build"]) == 1
    assert ledger.requeue_lost(["build"]) == 0
    assert taken(ledger)[0].attempts == 2


def test_a_silent_worker_elsewhere_loses_its_job_and_its_late_word_does_not_count(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a")])
    job, lease = taken(ledger, owner=FAR, ttl=0.3)
    assert ledger.requeue_lost(["build"], ttl=0.3) == 0
    deadline = time.monotonic() + 10
    while not ledger.requeue_lost(["build"], ttl=0.3) and time.monotonic() < deadline:
        time.sleep(0.05)
    second, mine = taken(ledger)
    assert second.id == job.id
    assert not ledger.finish_job(lease, job, JobState.DONE, {"by": "late"}), "it was stopped, and another has it"
    assert not ledger.give_back(lease, job)
    assert ledger.finish_job(mine, second, JobState.DONE, {"by": "second"})
    assert [end.outcome["by"] for end in ledger.ended_jobs("r1")] == ["second"]


def test_a_worker_that_shows_heartbeats_keeps_its_job(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a")])
    _, lease = taken(ledger, owner=FAR, ttl=0.4)
    for _ in range(10):
        assert ledger.heartbeat([lease]) == set()
        assert ledger.requeue_lost(["build"], ttl=0.4) == 0
        time.sleep(0.1)


def test_a_job_that_takes_every_worker_with_it_fails_in_the_end(ledger: Ledger) -> None:
    ledger.submit_jobs([new("poison")])
    dead = replace(this_process(), pid=2**22 + 1)
    for _ in range(job_records.MAX_ATTEMPTS):
        taken(ledger, owner=dead)
        assert ledger.requeue_lost(["build"]) == 1
    assert ledger.claim_job(["build"]) is None
    (end,) = ledger.ended_jobs("r1")
    assert end.state is JobState.FAILED
    assert "died, 5 times" in end.outcome["message"]


def test_many_workers_at_once_take_each_job_once(ledger: Ledger) -> None:
    ledger.submit_jobs(new(f"job-{number}") for number in range(60))
    done: Counter[str] = Counter()
    lock = threading.Lock()

    def work() -> None:
        while (found := ledger.claim_job(["build"])) is not None:
            with lock:
                done[found[0].what] += 1
            assert ledger.finish_job(found[1], found[0], JobState.DONE, {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(done.values()) == {1}
    assert len(done) == 60 == len(ledger.ended_jobs("r1"))


def test_depths_and_what_is_old_enough_to_forget(ledger: Ledger) -> None:
    ledger.submit_jobs([new("a"), new("b"), new("c", queue="wine")])
    job, lease = taken(ledger)
    assert [(d.queue, d.queued, d.running) for d in ledger.queue_depths()] == [("build", 1, 1), ("wine", 1, 0)]
    assert ledger.keys_of_jobs() == {digest(name) for name in "abc"}
    ledger.finish_job(lease, job, JobState.DONE, {})
    assert ledger.sweep_jobs(1) == 0
    time.sleep(0.01)
    assert ledger.sweep_jobs(0) == 1


def test_statements_of_the_queue_are_compiled_once(ledger: Ledger) -> None:
    """An SQL function of our own can prevent that without a word: SQLAlchemy then compiles them each time."""
    uncached: list[str] = []

    def look(_connection: Connection, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        if context.compiled is not None and context.cache_hit is CacheStats.NO_CACHE_KEY:
            uncached.append(statement)

    event.listen(ledger._engine, "before_cursor_execute", look)
    ledger.submit_jobs([new("a"), new("b")])
    job, lease = taken(ledger)
    assert ledger.heartbeat([lease]) == set()
    assert ledger.has_queued(["build", "other"])
    assert ledger.claim_job(["other", "more"]) is None
    assert ledger.requeue_lost(["build"]) == 0
    assert ledger.finish_and_claim(lease, job, JobState.DONE, {}, ["build"])[0]
    assert len(ledger.ended_jobs("r1")) == 1
    assert uncached == []
