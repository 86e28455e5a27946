"""The farm in numbers and as it is now: right on both databases, and as cheap in a large farm as in a small one."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cascades import FakeHands, chain, draft, fresh
from plans import PLATFORM, make_plan
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, text, update
from test_cascade_scale import counted, many
from test_ledger_database import emptied

from farm.cascade.advance import Advance
from farm.cli import run, status_look, status_watch
from farm.metrics import collect, names
from farm.model.cascade import CascadeState, TaskState
from farm.model.events import State
from farm.model.job import JobState, NewJob
from farm.process import run as run_program
from farm.store.ledger import Ledger
from farm.store.owner import Owner, this_process
from farm.store.tables import attempts, leases, steps
from farm.workers.keeper import LeaseKeeper

DOC = Path(__file__).parent.parent / "docs/observing.md"
OTHER = Owner(machine="0123456789ab", pid=7, started=1, host="builder-3")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/l.sqlite"
    with Ledger.open(url if request.param == "sqlite" else emptied(request.getfixturevalue("server"))) as ledger:
        yield ledger


class Samples:
    """What Prometheus' own parser finds: ``found("farm_up")``, ``found("farm_cascades", state="building")``."""

    def __init__(self, text: bytes) -> None:
        families = text_string_to_metric_families(text.decode())
        self.all = {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def __call__(self, name: str, **labels: str) -> float:
        return self.all[name, frozenset(labels.items())]


def busy(ledger: Ledger) -> None:
    """Two builds that ended, one that runs here, one elsewhere, one whose process is dead, and a cascade."""
    plan = make_plan({name: () for name in ("gmp", "mpfr", "mpc", "flint", "zlib")})  # noqa: C420
    ledger.record_plan(plan.steps)
    known = {step.recipe: step for step in plan.steps}
    made = [known[name] for name in ("gmp", "mpfr", "mpc", "flint", "zlib")]
    for step, state, seconds in zip(made, (State.BUILT, State.FAILED), (70.0, 2.5), strict=False):
        number = ledger.start_attempt(step.key)
        ledger.finish_attempt(
            number, state, phase="make", error="no rule" if state is State.FAILED else "", seconds=seconds
        )
    for step, owner in zip(made[2:], (this_process(), OTHER), strict=False):
        assert ledger.lease(step.key, owner=owner)
        ledger.set_phase(ledger.start_attempt(step.key, owner=owner), "configure")
    ledger.start_attempt(made[4].key, owner=OTHER)
    cascade = ledger.create_cascade(chain("a", "b"))
    hands = FakeHands({f"build b@1.0/{PLATFORM}": ["fault"]})
    Advance(cascade, ledger=ledger, hands=hands).to_the_end()


def test_numbers_are_what_happened(ledger: Ledger) -> None:
    busy(ledger)
    ledger.tally("cached", number=3)
    found = Samples(collect.text(ledger))
    assert found("farm_up") == 1
    assert found("farm_running_steps", platform=PLATFORM) == 2
    built, failed = ({"platform": PLATFORM, "outcome": outcome} for outcome in ("built", "failed"))
    for bound, count in (("60.0", 0), ("300.0", 1), ("+Inf", 1)):
        assert found("farm_step_seconds_bucket", le=bound, **built) == count
    assert found("farm_step_seconds_sum", **built) == 70
    assert found("farm_step_seconds_count", **failed) == 1
    assert found("farm_recipe_step_seconds_sum", recipe="gmp", **built) == 70
    assert found("farm_recipe_step_seconds_count", recipe="mpfr", **failed) == 1
    assert found("farm_cache_hits_total") == 3
    assert found("farm_retries_total", what="task") == 1
    assert found("farm_retries_total", what="step") == 0
    assert found("farm_lease_losses_total") == 0
    assert found("farm_cascades", state="building") == 1
    assert found("farm_cascade_tasks", state="done") == 2
    assert found("farm_cascade_tasks", state="ready") == found("farm_cascade_tasks", state="waiting") == 1
    assert 0 <= found("farm_cascade_unchanged_seconds", state="building") < 60
    assert abs(found("farm_last_built_timestamp_seconds") - time.time()) < 60


def jobs(ledger: Ledger, *queues: str) -> None:
    ledger.submit_jobs(
        NewJob(run="r", key=f"{n:064x}", what="x", queue=queue, payload="{}", signature="", signer="")
        for n, queue in enumerate(queues)
    )


def test_queues_are_counted_up_to_a_limit(ledger: Ledger) -> None:
    jobs(ledger, "build.linux", "build.linux", "test.wine", "build.linux", "test.wine")
    assert ledger.claim_job(["test.wine"]) is not None
    assert ledger.queue_numbers() == {
        ("build.linux", "queued"): 3, ("build.linux", "running"): 0,
        ("test.wine", "queued"): 1, ("test.wine", "running"): 1,
    }  # fmt: skip
    assert ledger.queue_numbers(limit=2)["build.linux", JobState.QUEUED] == 2
    found = Samples(collect.text(ledger))
    assert found("farm_queue_depth", queue="build.linux", state="queued") == 3
    assert status_watch.look(ledger, [], []).waits == {"build.linux": 3, "test.wine": 1}


def test_every_metric_is_in_the_page_and_is_good_prometheus(tmp_path: Path) -> None:
    assert "\n".join(names.table()) in DOC.read_text(), (
        "python -c 'from farm.metrics import names; print(*names.table(), sep=chr(10))'"
    )
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        busy(ledger)
        shown = collect.text(ledger)
    families = {family.name: family for family in text_string_to_metric_families(shown.decode())}
    assert set(families) == {metric.name for metric in names.ALL}
    for metric in names.ALL:
        assert families[metric.name].type == metric.kind
        labels = {name for sample in families[metric.name].samples for name in sample.labels} - {"le"}
        assert labels <= set(metric.labels)
    (tmp_path / "text").write_bytes(shown)
    with (tmp_path / "text").open("rb") as stream:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=stream, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_rules_of_the_page_are_good(tmp_path: Path) -> None:
    rules = DOC.read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "rules.yml").write_text(rules)
    done = run_program(["promtool", "check", "rules", str(tmp_path / "rules.yml")])
    assert "SUCCESS" in done.output
    for word in set(re.findall(r"farm_\w+", rules)):
        assert any(word.startswith(metric.name) for metric in names.ALL), word


def test_a_lost_lease_is_counted(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        lease = ledger.lease("k" * 64, ttl=0.2)
        assert lease is not None
        keeper, lost = LeaseKeeper(ledger, 0.2), threading.Event()
        with ledger.writing() as connection:
            connection.execute(update(leases).values(token=99))
        keeper.hold(lease, lost.set)
        assert lost.wait(30)
        keeper.close()
        assert Samples(collect.text(ledger))("farm_lease_losses_total") == 1


def test_a_bug_in_a_heartbeat_does_not_end_the_next_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the lease runs out while the step is at work, and another process builds it, too."""
    beats: list[int] = []

    def heartbeat(_held: object) -> set[str]:
        beats.append(1)
        if len(beats) == 1:
            raise RuntimeError("a bug")
        again.set()
        return set()

    again = threading.Event()
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        monkeypatch.setattr(ledger, "heartbeat", heartbeat)
        keeper = LeaseKeeper(ledger, 0.2)
        keeper.hold(ledger.lease("k" * 64) or pytest.fail("it is free"), lambda: None)
        assert again.wait(30)
        keeper.close()


def test_counts_of_tasks_follow_every_change(ledger: Ledger) -> None:
    cascade = ledger.create_cascade(chain("a", "b", "c"))

    def check() -> dict[str, int]:
        kept = {state: n for state, n in ledger.cascade_numbers()[cascade.id].items() if n}
        progress = ledger.progress(cascade.id)
        assert kept == {s.value: progress.having(s) for s in TaskState if progress.having(s)}
        return kept

    assert check() == {"ready": 1, "waiting": 5}
    hands = FakeHands({f"build b@1.0/{PLATFORM}": ["fail"]})
    Advance(cascade, ledger=ledger, hands=hands).to_the_end()
    assert check() == {"done": 2, "failed": 1, "blocked": 3}
    ledger.fence(cascade.id, ["c"], datetime.now(UTC) + timedelta(days=1), "dead")
    assert check()["fenced"] == 2
    ledger.retry_failed(cascade.id)
    check()
    ledger.replan_cascade(cascade.id, chain("a"), note="anew")
    assert (
        check()
        == {
            "ready": 1,
            "waiting": 1,
        }
        or check()["fenced"]
    )
    ledger.move_cascade(cascade.id, CascadeState.ABANDONED, of=list(CascadeState))
    assert ledger.cascade_numbers() == {}


def filled(ledger: Ledger, number: int) -> None:
    """So many steps that were built or failed, by so many recipes, and a cascade of as many tasks."""
    at = datetime.now(UTC)
    rows = [
        {"key": f"{n:064x}", "id": f"r{n}@1/{PLATFORM}", "slot": f"r{n}/{PLATFORM}", "recipe": f"r{n}", "version": "1",
         "platform": PLATFORM, "kind": "library", "python": None, "first_seen": at}
        for n in range(number)
    ]  # fmt: skip
    tries = [
        {"key": f"{n:064x}", "state": "failed" if n % 7 == 0 else "built", "started": at, "finished": at,
         "seconds": 1.0, "host": "h", "pid": 1, "owner": str(OTHER), "error": "x"}
        for n in range(number)
    ]  # fmt: skip
    with ledger.writing() as connection:
        connection.execute(insert(steps), rows)
        connection.execute(insert(attempts), tries)
        for n in range(min(number, 20_000)):
            ledger.tally_attempt(connection, f"{n:064x}", "built", 1.0)
    ledger.create_cascade(draft(many(number // 2)))


def cost(number: int) -> tuple[int, int]:
    """Statements, and steps of SQLite's machine, of a scrape and a look in a farm of so many steps."""
    with fresh() as ledger:
        filled(ledger, number)
        collect.text(ledger)
        with counted(ledger._engine) as seen:
            collect.text(ledger)
            status_watch.look(ledger, [], [])
            return seen["statements"], seen["hundred steps"]


def check_flat(small: int, large: int) -> None:
    few, lots = cost(small), cost(large)
    assert lots[0] == few[0] < 35
    assert lots[1] <= few[1] * 1.5 + 50, "more steps are no more to read"


def test_looking_costs_the_same_in_a_large_farm() -> None:
    check_flat(1200, 4000)


@pytest.mark.slow
def test_looking_at_300000_steps() -> None:
    check_flat(1200, 300_000)


def call(home: Path, *arguments: str) -> int:
    return run(["--catalog", str(home), "--home", str(home / "home"), *arguments])


def test_metrics_are_written_whole_and_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "farm.prom"
    place.write_text("old")
    assert call(tmp_path, "metrics", "write", str(place)) == 0
    assert Samples(place.read_bytes())("farm_up") == 1
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["farm.prom"]
    assert call(tmp_path, "metrics", "write", str(tmp_path / "none/farm.prom")) == 9
    assert call(tmp_path, "metrics", "write", "-") == 0
    assert "farm_up 1.0" in capsys.readouterr().out
    command = [sys.executable, "-m", "farm.cli", "--home", str(tmp_path / "home"), "metrics", "serve", "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = process.stdout.readline().removeprefix("serving ").strip()
            with closing(urllib.request.urlopen(address)) as answer:
                assert Samples(answer.read())("farm_up") == 1
            port = address.split(":")[2].partition("/")[0]
            assert call(tmp_path, "metrics", "serve", "--port", port) == 2
            assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err
        finally:
            process.send_signal(signal.SIGINT)
            assert (process.wait(60), process.stderr.read()) == (0, "")


def test_a_ledger_that_does_not_answer_is_a_number(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        with ledger.writing() as connection:
            connection.execute(text("DROP TABLE cascade_counts"))
        assert Samples(collect.text(ledger)).all == {("farm_up", frozenset()): 0.0}


def test_what_runs_and_what_failed(ledger: Ledger) -> None:
    busy(ledger)
    at = datetime.now(UTC) + timedelta(seconds=60)
    now = status_watch.look(ledger, [], [], at)
    assert [(one.step.partition("@")[0], one.phase, one.host) for one in now.running] == [
        ("mpc", "configure", this_process().host), ("flint", "configure", "builder-3"),
    ]  # fmt: skip
    assert all(59 < one.seconds < 120 for one in now.running)
    assert [(one.recipe, one.error) for one in now.failed] == [("mpfr", "no rule")]
    assert [(it.state, it.done) for it in now.cascades] == [("building", "2 of 4 done")]
    only = status_watch.look(ledger, ["fl*"], ["*"], at)
    assert [one.recipe for one in only.running] == ["flint"]
    assert only.failed == ()
    assert json.loads(json.dumps(status_look.document(now)))["running"][0]["phase"] == "configure"


def test_a_pipe_gets_what_changed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        nothing = status_watch.look(ledger, [], [])
        busy(ledger)
        now = status_watch.look(ledger, [], [])
        first = list(status_look.changes(nothing, now))
        assert [re.sub(r"FAILED .* ago", "FAILED 0.0 s ago", line).partition(" on ")[0] for line in first] == [
            f"mpc@1.0/{PLATFORM}: configure", f"flint@1.0/{PLATFORM}: configure",
            f"mpfr@1.0/{PLATFORM}: FAILED 0.0 s ago: no rule",
            "cascade 1: a change: building, 2 of 4 done",
        ]  # fmt: skip
        assert list(status_look.changes(now, now)) == []
        ledger.set_phase(now.running[0].id, "make")
        ledger.finish_attempt(now.running[1].id, State.BUILT, seconds=3)
        ledger.move_cascade(1, CascadeState.ABANDONED, of=list(CascadeState))
        later = list(status_look.changes(now, status_watch.look(ledger, [], [])))
        assert [line.partition(" on ")[0] for line in later] == [
            f"mpc@1.0/{PLATFORM}: make", f"flint@1.0/{PLATFORM}: ended", "cascade 1: ended",
        ]  # fmt: skip


def test_a_step_that_fails_again_is_said_once_and_not_at_length(tmp_path: Path) -> None:
    plan = make_plan({"gmp": ()})
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.record_plan(plan.steps)
        for why in ("first", f"make {'x' * 500}\nmore"):
            ledger.finish_attempt(ledger.start_attempt(plan.steps[0].key), State.FAILED, error=why)
        now = status_watch.look(ledger, [], [])
        assert len(now.failed) == 1
        (line,) = status_look.changes(status_look.Look(at=now.at), now)
        assert "ago: make xxx" in line
        assert len(line) < 200


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--interval", "0"], "0 seconds make no sense"), (["--markdown"], "goes with neither")],
)
def test_what_watch_refuses(tmp_path: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "status", "--watch", *words) == 2
    assert told in capsys.readouterr().err


def watching(home: Path, output: int, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "farm.cli", "--home", str(home), "status", "--watch", "--interval", "0.1", *words]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})


def test_a_terminal_shows_a_table_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "home/ledger.sqlite") as ledger:
        busy(ledger)
    (tmp_path / "home/.farm").write_text('{"format": 1}\n')
    ours, theirs = pty.openpty()
    process = watching(tmp_path / "home", theirs)
    os.close(theirs)
    shown = b""
    try:
        while b"no rule" not in shown:
            shown += os.read(ours, 4096)
    finally:
        process.send_signal(signal.SIGINT)
        threading.Thread(target=lambda: _drain(ours), daemon=True).start()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    told = shown.decode()
    for word in ("running", "configure", "builder-3:7", "2 of 4 done", "failed last"):
        assert word in told


def _drain(handle: int) -> None:
    try:
        while os.read(handle, 4096):
            pass
    except OSError:
        pass


def test_a_pipe_that_closes_ends_it(tmp_path: Path) -> None:
    process = watching(tmp_path / "home", subprocess.PIPE, "--json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first["running"], first["cascades"], first["failed"]) == ([], [], [])
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    process.stderr.close()


def test_sums_outlive_the_change_to_shards(ledger: Ledger) -> None:
    """What migration 0005 does with what is there, by going back to what 0004 made."""
    from farm.store.schema import open_engine

    url = ledger._engine.url.render_as_string(hide_password=False)
    with ledger.writing() as connection:
        connection.execute(text("DROP TABLE tallies"))
        connection.execute(
            text(
                "CREATE TABLE tallies (metric VARCHAR(40), recipe VARCHAR(100), platform VARCHAR(100),"
                " word VARCHAR(40), number BIGINT, seconds FLOAT, PRIMARY KEY (metric, recipe, platform, word))"
            )
        )
        connection.execute(text("INSERT INTO tallies VALUES ('cached', '', '', '', 5, 0)"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    open_engine(url).dispose()
    ledger.tally("cached", number=2)
    assert Samples(collect.text(ledger))("farm_cache_hits_total") == 7
