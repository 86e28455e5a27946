"""The ledger on both databases: what was written is there, leases have one holder, schemas are made once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from databases import restart
from plans import digest, make_plan, make_step
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from farm.errors import StoreError, UnavailableError
from farm.model.artifact import Artifact
from farm.model.events import State
from farm.model.finding import Finding, Severity
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.store.ledger import Ledger
from farm.store.owner import Owner, this_process
from farm.store.schema import HEAD, place_of
from farm.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    return emptied(request.getfixturevalue("server"))


def emptied(server: str) -> str:
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return server


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as ledger:
        yield ledger


def artifact(step: Step) -> Artifact:
    return Artifact(key=step.key, filename=f"{step.recipe}.whl", sha256=digest(step.key), size=3_000_000_000)


def test_steps_and_inputs_are_remembered_once(ledger: Ledger) -> None:
    plan = make_plan({"gmp": (), "mpfr": ("gmp",)})
    assert ledger.record_plan(plan.steps) == 2
    assert ledger.record_plan(plan.steps) == 0
    gmp, mpfr = plan.steps
    assert ledger.inputs_of(mpfr.key) == mpfr.inputs
    assert ledger.inputs_of("0" * 64) == ()
    known = ledger.step(gmp.key)
    assert known is not None
    assert (known.id, known.slot, known.python) == (gmp.id, gmp.slot, None)
    assert known.first_seen.tzinfo is UTC


def test_an_attempt_from_start_to_end(ledger: Ledger) -> None:
    step = make_step("gmp")
    ledger.record_plan([step])
    number = ledger.start_attempt(step.key, log="/logs/x.log")
    ledger.set_phase(number, "make")
    running = ledger.last_attempt(step.key)
    assert running is not None
    assert (running.state, running.phase, running.finished) == (State.RUNNING, "make", None)
    assert ledger.finish_attempt(
        number, State.BUILT, phase="pack", seconds=12.5, cpu_seconds=20.25, artifact=artifact(step)
    )
    assert not ledger.finish_attempt(number, State.FAILED, error="late"), "the first word counts"
    done = ledger.last_attempts([step.key])[step.key]
    assert (done.state, done.seconds, done.cpu_seconds, done.error) == (State.BUILT, 12.5, 20.25, "")
    assert done.finished is not None
    assert timedelta(0) <= done.finished - done.started < timedelta(minutes=1)
    built = ledger.last_built(step.slot)
    assert built is not None
    assert (built.step.id, built.size, built.inputs) == (step.id, 3_000_000_000, step.inputs)
    assert ledger.last_built(step.slot, but=step.key) is None
    assert ledger.durations() == {step.slot: 12.5}


def test_a_try_that_died_is_closed_by_the_next(ledger: Ledger) -> None:
    step = make_step("gmp")
    ledger.record_plan([step])
    ledger.start_attempt(step.key)
    ledger.start_attempt(step.key)
    second, first = ledger.attempts_of(step.key)
    assert (first.state, second.state) == (State.CANCELLED, State.RUNNING)
    assert "ended without a word" in first.error


def test_a_try_that_was_only_taken_for_dead_says_how_it_ended(ledger: Ledger) -> None:
    """Another process was stopped before its own try began, and goes on while this one builds."""
    step = make_step("gmp")
    ledger.record_plan([step])
    living, late = (ledger.start_attempt(step.key) for _ in range(2))
    assert ledger.finish_attempt(living, State.FAILED, error="no compiler")
    assert not ledger.finish_attempt(living, State.CANCELLED)
    assert ledger.finish_attempt(late, State.CANCELLED, error="cancelled")
    assert [(a.state, a.error) for a in ledger.attempts_of(step.key)] == [
        (State.CANCELLED, "cancelled"),
        (State.FAILED, "no compiler"),
    ]


def test_the_newest_build_of_each_slot(ledger: Ledger) -> None:
    steps = [make_step("gmp", version=v) for v in ("6.2", "6.3")] + [make_step("mpfr")]
    ledger.record_plan(steps)
    for step in steps:
        ledger.finish_attempt(ledger.start_attempt(step.key), State.BUILT, artifact=artifact(step))
    assert ledger.newest_keys() == {steps[1].key, steps[2].key}
    last = ledger.last_built(steps[0].slot)
    assert last is not None
    assert last.step.version == "6.3"
    one = ledger.last_built(steps[0].id)
    assert one is not None
    assert one.step.version == "6.2"


def test_verdicts_and_findings(ledger: Ledger) -> None:
    step = make_step("gmp")
    ledger.record_plan([step])
    ledger.record_verdict(step.key, "smoke", Outcome.NOT_RUN, reason="no runner")
    ledger.record_verdict(step.key, "smoke", Outcome.PASSED, details={"tests": 12, "names": ["é"]})
    ledger.record_verdict(step.key, "audit", Outcome.FAILED, reason="2 findings")
    found = ledger.verdicts([step.key, "0" * 64])
    assert [(v.kind, v.outcome, v.reason) for v in found[step.key]] == [
        ("audit", "failed", "2 findings"),
        ("smoke", "passed", ""),
    ]
    assert found[step.key][1].details == {"tests": 12, "names": ["é"]}
    finding = Finding(check="rpath", severity=Severity.ERROR, file="a.so", fact="leaks /root", fix="scrub it")
    ledger.record_findings(step.key, "audit", [finding, finding])
    ledger.record_findings(step.key, "audit", [finding])
    assert ledger.findings_of(step.key) == (finding,)


def test_many_thousand_steps(ledger: Ledger) -> None:
    steps = [make_step(f"s{n}") for n in range(3000)]
    assert ledger.record_plan(steps) == 3000
    assert ledger.record_plan(steps) == 0
    ledger.record_artifacts(artifact(s) for s in steps)
    assert len(ledger.newest_keys()) == 3000


def test_a_lease_has_one_holder_and_its_token_grows(ledger: Ledger) -> None:
    key = digest("k")
    lease = ledger.lease(key)
    assert lease is not None
    assert ledger.lease(key) is None
    holder = ledger.holder(key)
    assert holder is not None
    assert holder.owner == this_process()
    assert ledger.heartbeat([lease]) == set()
    assert ledger.leased_keys() == {key}
    assert ledger.release(lease)
    assert not ledger.release(lease)
    assert ledger.holder(key) is None
    again = ledger.lease(key)
    assert again is not None
    assert again.token > lease.token
    assert ledger.heartbeat([lease]) == {key}, "the old lease is lost"


def test_an_expired_lease_changes_hands_only_without_heartbeat(ledger: Ledger) -> None:
    elsewhere = Owner(machine="0" * 12, pid=1, started=1, host="other")
    key = digest("k")
    first = ledger.lease(key, elsewhere, ttl=0.3)
    assert first is not None
    assert ledger.lease(key, ttl=0.3) is None
    time.sleep(0.4)
    assert ledger.lease(key, ttl=0.3) is None, "expired, but this is the first look"
    assert ledger.heartbeat([first]) == set(), "it only slept"
    time.sleep(0.4)
    assert ledger.lease(key, ttl=0.3) is None, "the heartbeat began a new first look"
    time.sleep(0.2)
    second = ledger.lease(key, ttl=0.3)
    assert second is not None
    assert ledger.heartbeat([first]) == {key}
    assert not ledger.release(first)
    assert ledger.holder(key) is not None


def test_the_lease_of_a_killed_process_is_free_at_once(ledger: Ledger, url: str) -> None:
    script = f"""
import os, signal
from farm.store.ledger import Ledger
assert Ledger.open({url!r}).lease({digest("k")!r}, ttl=3600)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert ledger.holder(digest("k")) is not None
    assert ledger.leased_keys() == set()
    assert ledger.lease(digest("k")) is not None


def test_threads_that_race_for_a_lease(ledger: Ledger) -> None:
    for round_ in range(5):
        taken: list[object] = []
        barrier = threading.Barrier(8)

        def race(key: str, barrier: threading.Barrier, taken: list[object]) -> None:
            barrier.wait()
            taken.append(ledger.lease(key))

        key = digest(f"race {round_}")
        threads = [threading.Thread(target=race, args=(key, barrier, taken)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([t for t in taken if t is not None]) == 1


def test_processes_that_open_a_fresh_database_together(url: str) -> None:
    script = f"""
import sys
from farm.store.ledger import Ledger
sys.stdin.readline()
with Ledger.open({url!r}) as ledger:
    assert ledger.lease(sys.argv[1]) is not None
"""
    children = [
        subprocess.Popen([sys.executable, "-c", script, digest(str(n))], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        error = child.communicate()[1]
        assert child.returncode == 0, error.decode()


def test_the_migrations_make_the_tables_that_the_code_uses(ledger: Ledger, url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_head_is_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "farm:store/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_schema_of_a_newer_farm_is_refused(ledger: Ledger, url: str) -> None:
    with ledger.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=f"has schema 9999, this farm knows {HEAD}"):
        Ledger.open(url)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://x/y", "mysql is not supported"),
        ("sqlite://", "must be a file"),
        ("postgresql://farm@/x?host=/nowhere", "does not answer"),
    ],
)
def test_wrong_urls_are_said(url: str, match: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=match):
        Ledger.open(url)


@pytest.mark.parametrize(
    "url", ["postgresql:/me:hunter22@host/x", "postgresql://me:hun/ter22@host:54x2/x", "me:hunter22@host/x"]
)
def test_a_wrong_url_is_not_repeated_for_it_may_hold_a_password(url: str) -> None:
    with pytest.raises(StoreError, match="is not a database URL") as told:
        Ledger.open(url)
    assert "ter22" not in str(told.value)


def test_a_password_among_the_options_of_a_url_is_not_shown() -> None:
    shown = place_of(make_url("postgresql://me@host/x?password=hunter22&sslmode=verify-full&sslpassword=hunter22"))
    assert shown == "postgresql://me@host/x?password=***&sslmode=verify-full&sslpassword=***"


def test_a_server_whose_name_holds_full_is_away_and_not_out_of_room() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UnavailableError, match="does not answer"):
        Ledger.open("postgresql://farm@/x?host=/nowhere/full")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="damaged") as caught:
        Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite")
    assert "artifacts are kept" in caught.value.fix


def test_a_restarted_server_is_an_infrastructure_fault_and_heals(server: str) -> None:
    with Ledger.open(emptied(server)) as ledger:
        lease = ledger.lease(digest("restart"))
        assert lease is not None
        restart(server)
        with contextlib.suppress(UnavailableError):  # which `patiently` and run_plan take for a reason to ask again
            ledger.heartbeat([lease])
        assert ledger.heartbeat([lease]) == set()


def test_a_server_that_restarts_while_nobody_asks_is_not_noticed(server: str) -> None:
    with Ledger.open(emptied(server)) as ledger:
        lease = ledger.lease(digest("rested"))
        assert lease is not None
        restart(server, how="immediate")
        time.sleep(1.1)  # connections that rested for a second are tried
        assert ledger.heartbeat([lease]) == set()


_WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from plans import digest, make_step
from farm.model.artifact import Artifact
from farm.model.events import State
from farm.store.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
print("ready", flush=True)
for number in range(100000):
    step = make_step("gmp", salt=f"{sys.argv[2]}-{number}")
    ledger.record_plan([step])
    lease = ledger.lease(step.key)
    attempt = ledger.start_attempt(step.key)
    a = Artifact(key=step.key, filename="x.whl", sha256=digest(step.key), size=1)
    ledger.finish_attempt(attempt, State.BUILT, seconds=1.0, artifact=a)
    ledger.release(lease)
    print(step.key, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_kill_while_writing_loses_nothing_that_was_promised(url: str, seed: int) -> None:
    chance = random.Random(seed)
    here = str(Path(__file__).parent)
    child = subprocess.Popen([sys.executable, "-c", _WRITER, url, str(seed), here], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(chance.uniform(0.02, 0.4))
    child.kill()
    promised = [line.strip() for line in child.stdout if len(line) == 65]
    child.wait()
    child.stdout.close()
    with Ledger.open(url) as ledger:
        for key in promised:
            built = ledger.built(key)
            assert built is not None
            assert len(built.inputs) == 1
        assert ledger.leased_keys() == set()
        with ledger.reading() as connection:
            keys = connection.execute(text("SELECT key FROM steps")).scalars().all()
        for key in keys:
            assert ledger.inputs_of(key), "a step is never there without its inputs"
            attempt = ledger.last_attempt(key)
            assert attempt is None or (attempt.state is State.BUILT) == (ledger.built(key) is not None)
            lease = ledger.lease(key)
            assert lease is not None, "nothing stays locked"
            ledger.release(lease)
