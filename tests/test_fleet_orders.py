"""Orders, keys and rights of a fleet; and `farm worker` with `farm build --broker` as a user runs them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import fleet_process
import lost_answers
import pytest
import small_farm
from plans import digest
from redis_server import redis, why_no_redis

from farm.errors import FleetError, UsageError
from farm.fleet import beside, broker, bundle, queues, show, signing, trust
from farm.fleet.beat import Beat
from farm.fleet.build import Planned
from farm.fleet.hands import FleetHands, new_run
from farm.fleet.order import Order
from farm.fleet.slot import Slot
from farm.model.events import State
from farm.model.job import JobState, NewJob
from farm.process import Cancel
from farm.settings import Settings
from farm.store import frozen, home
from farm.store.artifacts import Store
from farm.store.ledger import Ledger
from farm.store.owner import this_process
from farm.store.remote.directory import DirectoryRemote
from farm.store.scratch import sweep_work
from farm.store.shared import Shared

STEP = fleet_process.PLAN.steps[0]
ORDER = Order(kind="build", step=STEP.id, key=STEP.key, catalog="0" * 64, rights="build")


def test_a_trusted_key_gets_a_line_of_its_own_behind_one_that_was_written_by_hand(tmp_path: Path) -> None:
    first, second = (signing.make_key(tmp_path / name) for name in ("one.pem", "two.pem"))
    path = tmp_path / "trusted"
    path.write_text(f"build {first.public} by hand")
    for _ in range(2):
        trust.trust(path, trust.line_of(first, ["build"], "by hand"))
        trust.trust(path, trust.line_of(second, ["pr"], "made"))
    assert len(path.read_text().splitlines()) == 2
    assert {key.owner: key.rights for key in trust.read(path).values()} == {"by hand": {"build"}, "made": {"pr"}}


def test_an_order_is_read_as_it_was_written_and_nothing_else_is() -> None:
    assert Order.read(ORDER.text()) == ORDER
    for bad in ("", "[]", '{"kind":"rm"}', ORDER.text().replace(STEP.key, "../x"), ORDER.text()[:-1] + ',"more":1}'):
        with pytest.raises(FleetError, match="is no order"):
            Order.read(bad)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "fleet/key.pem"
    made = signing.make_key(path)
    assert signing.make_key(path).name == made.name
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / f"fleet/.killed.pem.{os.getpid()}").write_text("half")  # by a process of this number, in a container
    assert signing.make_key(tmp_path / "fleet/killed.pem").name != made.name
    path.chmod(0o644)
    with pytest.raises(FleetError, match="others may read"):
        signing.signer(path)
    path.chmod(0o600)
    path.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n")
    with pytest.raises(FleetError, match="is no private key"):
        signing.signer(path)
    with pytest.raises(FleetError, match="cannot be read"):
        signing.signer(tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("# nobody\n", "empty"),
        ("build x me\n", "line 1"),
        ("root AAAA me\n", "line 1"),
        ("\n\nx\n", "line 3"),
    ],
)
def test_a_list_of_trusted_keys_says_what_is_wrong_with_it(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "trusted"
    path.write_text(text)
    with pytest.raises(FleetError, match=why):
        trust.read(path)


def test_a_list_of_trusted_keys_appears_with_its_first_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts just then would else find it empty, and refuse to."""
    path, key, sync = tmp_path / "trusted", signing.make_key(tmp_path / "one.pem"), os.fsync
    seen: list[bool] = []

    def look(handle: int) -> None:
        seen.append(path.exists())
        sync(handle)

    monkeypatch.setattr(os, "fsync", look)
    trust.trust(path, trust.line_of(key, ["build"], "me"))
    assert not seen[0], "it is on the disk before it has its name"
    assert [one.owner for one in trust.read(path).values()] == ["me"]


class Silent:
    """A screen that nobody looks at."""

    def __init__(self) -> None:
        from contextlib import nullcontext

        self.event = self.ended = lambda *_: None
        self.job_log = lambda _job: nullcontext()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def refusal(ledger: Ledger, tmp_path: Path, order: Order, by: signing.Signer, **changes: str) -> str:
    """What a worker for what is published says of a job; it must not even look at what is ordered."""

    def never(*_: object) -> NoReturn:
        raise AssertionError("carried out")

    text, run = order.text(), new_run()
    values = {"payload": text, "signature": by.sign(text), "signer": by.name, "key": order.key, **changes}
    ledger.submit_jobs([NewJob(run=run, what=order.step, queue="build", urgency=0.0, **values)])
    slot = Slot(
        ledger=ledger,
        queues=["build"],
        doers={"build": never},
        trusted=trust.TrustFile(tmp_path / "trusted"),
        right="build",
        screen=Silent(),
    )
    stop, ended = Cancel(), threading.Event()
    serving = threading.Thread(target=slot.serve, args=(stop, ended, threading.Event()))
    serving.start()
    deadline = time.monotonic() + 30
    while not (ends := ledger.ended_jobs(run)) and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    serving.join()
    (end,) = ends
    assert end.outcome["kind"] == "fleet"
    return str(end.outcome["message"])


def asking(ledger: Ledger, tmp_path: Path, store: Store) -> FleetHands:
    return FleetHands(
        run="r",
        ledger=ledger,
        store=store,
        signer=signing.make_key(tmp_path / "key.pem"),
        catalog="0" * 64,
        rights="build",
        queue_of=lambda _step: "build",
        urgency_of=lambda _step: 1.0,
        wake=lambda _new: None,
        cancel=Cancel(),
        logs=tmp_path,
    )


def test_a_worker_refuses_what_is_not_signed_for_it(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = (signing.make_key(tmp_path / name) for name in ("ours.pem", "theirs.pem"))
    proposer = signing.make_key(tmp_path / "pr.pem")
    trust.trust(tmp_path / "trusted", trust.line_of(ours, ("build",), "us"))
    trust.trust(tmp_path / "trusted", trust.line_of(proposer, ("pr",), "the pull requests' machine"))
    assert "does not trust" in refusal(ledger, tmp_path, ORDER, theirs)
    assert f"refused: job: is signed by {theirs.name}" in caplog.text  # whoever runs the worker wants to know, too
    assert "does not fit" in refusal(ledger, tmp_path, ORDER, theirs, signer=ours.name)
    other = ORDER.model_copy(update={"key": digest("other")})
    assert "does not fit" in refusal(ledger, tmp_path, ORDER, ours, payload=other.text(), key=other.key)
    assert "does not fit" in refusal(ledger, tmp_path, ORDER, ours, signature="AAAA")
    assert "where it does not belong" in refusal(ledger, tmp_path, ORDER, ours, key=digest("other"))
    said = refusal(ledger, tmp_path, ORDER, proposer)
    assert "the key of the pull requests' machine does not have" in said
    proposal = ORDER.model_copy(update={"rights": "pr"})
    assert "where it does not belong" in refusal(ledger, tmp_path, proposal, proposer)


def test_workers_find_what_the_shared_store_had_lost(ledger: Ledger, tmp_path: Path) -> None:
    """It was published from here once, then damaged there and dropped by a worker; here it counts as built."""
    (tmp_path / "common").mkdir()
    ours, theirs = (
        Store(tmp_path / name, shared=Shared(DirectoryRemote(tmp_path / "common"))) for name in ("ours", "theirs")
    )
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    artifact = ours.put(digest("dep"), tmp_path / "a-1-py3-none-any.whl")
    assert ours.shared is not None
    ours.shared.drop(artifact)
    assert ours.get(artifact.key) == artifact
    assert theirs.get(artifact.key) is None
    asking(ledger, tmp_path, ours).take(STEP, {"dep": artifact})
    assert theirs.get(artifact.key) == artifact


def test_a_step_whose_answers_were_lost_is_queued_once_and_its_end_is_heard(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = asking(ledger, tmp_path, Store(tmp_path / "store"))
    lost = lost_answers.lose(monkeypatch, ledger, "submit_jobs", "ended_jobs")
    hands.take(STEP, {})
    assert hands.reports() == []
    job, lease = ledger.claim_job(["build"]) or pytest.fail("nothing is queued")
    assert ledger.claim_job(["build"]) is None
    assert ledger.finish_job(lease, job, JobState.FAILED, {"message": "no compiler"})
    reports = [report for _ in range(3) for report in hands.reports()]
    assert [(report.step, report.outcome.state) for report in reports] == [(STEP, State.FAILED)]
    assert lost == {"submit_jobs", "ended_jobs"}


def test_the_clock_hands_out_again_what_nobody_saw_and_forgets_what_is_old(ledger: Ledger) -> None:
    rung: list[tuple[str, str]] = []
    due: list[int] = []
    values = {"payload": "{}", "signature": "", "signer": "", "queue": "build"}
    ledger.submit_jobs(NewJob(run="r", what=name, key=digest(name), urgency=0.0, **values) for name in "ab")
    taken = ledger.claim_job(["build"], replace(this_process(), pid=2**22 + 1))
    assert taken is not None
    clock = Beat(
        ledger,
        wake=rung.extend,
        lease_seconds=3.0,
        keep_days=0.0,
        due=lambda: due.append(1),
        due_seconds=60.0,
    )
    clock.tick(0.0)
    clock.tick(1.0)
    assert rung == [("build", "")]
    assert len(due) == 1
    assert [(depth.queued, depth.running) for depth in ledger.queue_depths()] == [(2, 0)]
    ledger.cancel_jobs("r")
    clock.tick(4000.0)
    assert len(due) == 2
    assert ledger.sweep_jobs(0) == 0, "it has forgotten them"


def test_the_clock_goes_on_when_a_disk_is_full(ledger: Ledger) -> None:
    tried: list[int] = []

    def full() -> None:
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    clock = Beat(ledger, wake=lambda _waiting: None, lease_seconds=3.0, keep_days=1.0, due=full, due_seconds=60.0)
    for moment in (0.0, 60.0):
        clock.tick(moment)
    assert len(tried) == 2


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_the_clock_ends_when_it_is_told_to_whatever_it_asks_just_then(signal_: int, tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    command = small_farm.command(catalog, "beat", "--broker", "redis://127.0.0.1:1/0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clock:
        assert clock.stdout is not None
        assert "beating on" in clock.stdout.readline()
        clock.send_signal(signal_)
        assert clock.stdout.read().splitlines() == ["stopped"]
    assert clock.returncode == 0


def test_an_interrupt_before_the_work_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    ended: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    beside.beside(lambda: pytest.fail("begun"), lambda: ended.append(1), "test")
    assert ended == [1]


def test_no_terminal_takes_orders_from_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody who can write to Redis, and any build by its log, decides what comes here."""
    told: list[str] = []
    monkeypatch.setattr(show.Watcher, "_receive_on", lambda _self: None)
    watcher = show.Watcher(
        "redis://127.0.0.1:1/0",
        "r",
        lambda event: told.extend((event.step, event.phase, event.message)),
        lambda step, lines: told.extend((step, lines)),
        lambda: None,
    )
    bad = "a\x1b]0;x\x07\x9b2J"
    watcher._receive(json.dumps({"step": bad, "log": f"one\n\t{bad}"}).encode())
    watcher._receive(
        json.dumps({"step": bad, "state": "running", "phase": bad, "message": bad, "seconds": 1.0}).encode()
    )
    watcher.close()
    assert len(told) == 5
    assert told[1] == "one\n\ta\\x1b]0;x\\x07\\x9b2J"
    assert not any("\x1b" in text or "\x9b" in text for text in told)


def test_queues_of_pull_requests_are_served_by_themselves() -> None:
    assert queues.of_build("build", 10.0) == "build"
    assert queues.of_build("pr", 3600.0) == "pr.build.large"
    assert set(queues.of_machine("pr", "x86_64")).isdisjoint(queues.of_machine("build", "x86_64"))
    for name, right in (("pr.build", "build"), ("build", "pr")):
        with pytest.raises(UsageError, match="queue of pull requests"):
            queues.checked([name], right)  # type: ignore[arg-type]


def test_a_queue_that_no_job_goes_to_is_no_queue() -> None:
    for right in ("build", "pr"):
        every = queues.of_machine(right, "x86_64")
        assert queues.checked(every, right) == every
    assert queues.checked(["test.native-macos-arm64"], "build") == ("test.native-macos-arm64",)
    for name in ("a b", "", "biuld", "wine", "test.native", "test.native-linux", "build.wine", "test.native-a-b/c"):
        with pytest.raises(UsageError, match="no job ever goes to") as told:
            queues.checked([name], "build")
        assert "build, build.large, test.native-ld" in told.value.fix
    with pytest.raises(UsageError) as told:
        queues.checked(["pr.biuld"], "pr")
    assert "pr.build, pr.build.large, pr.test.native-ld" in told.value.fix


def test_passwords_of_brokers_are_not_shown() -> None:
    assert broker.shown("rediss://me:secret@farm.example/0") == "rediss://***@farm.example:6379/0"
    options = "rediss://farm.example:6380/0?ssl_keyfile=/k&ssl_password={}&password={}"
    assert broker.shown(options.format("hunter22", "hunter22")) == options.format("***", "***")
    for bad in ("amqp://me:secret@farm.example", "redis://me:secret@farm.example:99999/0", "redis://:secret@[::1/0"):
        with pytest.raises(UsageError) as told:
            broker.checked(bad)
        assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["http://[", "redis://[", "redis://me:secret@farm.example:99999999/0", "", "redis"])
def test_what_is_no_address_of_a_broker_is_a_wrong_option(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a broker") as told:
        broker.checked(url)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("option", ["ssl_cert_reqs=none", "ssl_cert_reqs=optional", "ssl_check_hostname=false"])
def test_nobody_on_the_way_is_taken_for_the_broker(option: str) -> None:
    with pytest.raises(UsageError, match="anybody on the way"):
        broker.checked(f"rediss://farm.example/0?{option}")
    url = "rediss://farm.example/0?ssl_cert_reqs=required&ssl_check_hostname=true"
    assert broker.checked(url) == url


def two_machines(place: Path) -> tuple[Settings, Settings, Store]:
    """Who asks, with a small catalog, and a worker; and the store that they share."""
    here, there = (Settings(catalog=place / "catalog", home=place / name, cache=place, cores=1) for name in ("a", "b"))
    for one in (here, there):
        home.prepare(one.home)
    small_farm.make(here.catalog)
    return here, there, Store(place / "store")


def test_a_catalog_travels_by_its_hash(tmp_path: Path) -> None:
    from farm import catalog

    here, there, store = two_machines(tmp_path)
    root = frozen.place(here, frozen.freeze(here, here.catalog))
    name = bundle.pack(root, store, here)
    (root / "recipes/tiny/smoke.c").touch()
    assert bundle.pack(root, store, here) == name, "times are no part of it"
    place = bundle.place(name, store, there)
    assert catalog.load_from(place).recipes.keys() == {"tiny", "pytiny"}
    assert frozen.freeze(there, place) == root.name
    with pytest.raises(FleetError, match="is not in this worker's store"):
        bundle.place(digest("none"), store, there)


def test_a_worker_has_the_files_of_a_catalog_that_it_read_before_they_were_swept_away(tmp_path: Path) -> None:
    here, there, store = two_machines(tmp_path)
    name = bundle.pack(frozen.place(here, frozen.freeze(here, here.catalog)), store, here)
    planned = Planned(settings=there, store=store, findings=lambda _step, _found: None)
    first = planned.catalog(name)
    root = bundle.place(name, store, there)
    os.utime(root, (0, 0))
    assert planned.catalog(name) is first
    sweep_work(root.parent, keep_days=14, dry_run=False)
    assert root.is_dir(), "it is in use"
    shutil.rmtree(root)
    assert planned.catalog(name) is first
    assert (root / "recipes/tiny/recipe.toml").is_file()


def test_workers_without_keys_or_broker_do_not_start(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    done = small_farm.farm(catalog, "worker")
    assert (done.returncode, "no broker is named" in done.stderr) == (2, True)
    for lease in ("0", "nan", "inf"):
        done = small_farm.farm(catalog, "beat", "--broker", "redis://127.0.0.1:1/0", "--lease", lease)
        assert (done.returncode, "a lease needs a second at least" in done.stderr) == (2, True), done.stderr
    (catalog / ".farm/fleet").mkdir(parents=True)
    (catalog / ".farm/.farm").write_text('{"format": 1}')
    (catalog / ".farm/fleet/trusted").write_text("# nobody\n")
    done = small_farm.farm(catalog, "worker", "--broker", "redis://127.0.0.1:1/0")
    assert (done.returncode, "list of trusted keys is empty" in done.stderr) == (15, True)


def test_a_user_builds_on_a_worker(tmp_path: Path) -> None:
    """The real farm from end to end, with a failure that ends as on one machine."""
    if reason := why_no_redis():
        pytest.skip(f"the fleet was not tested: {reason}")
    catalog = small_farm.make(tmp_path / "catalog")
    with redis() as server:
        command = small_farm.command(catalog, "worker", "--broker", server.url)
        with (tmp_path / "worker.log").open("w") as log:
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert worker.stdout is not None
            assert "1 slot" in worker.stdout.readline()
            built = small_farm.farm(catalog, "build", "tiny", "--broker", server.url, "--follow")
            assert built.returncode == 0, built.stderr
            assert "1 built, 0 up to date" in built.stdout
            assert "tiny@1.0/manylinux_2_17_x86_64: link" in built.stdout
            assert "| cc -O2   -c -o tiny.o tiny.c" in built.stdout, "the log, live"
            again = small_farm.farm(catalog, "build", "tiny", "--broker", server.url, "--json")
            assert [row["state"] for row in json.loads(again.stdout)["steps"]] == ["cached"]
            (catalog / "recipes/tiny/patches/0001-nothing.patch").write_text("--- a/X\n+++ b/X\n@@ -1 +1 @@\n-a\n+b\n")
            failed = small_farm.farm(catalog, "build", "tiny", "--broker", server.url)
            assert failed.returncode == 5, failed.stdout + failed.stderr
            assert "0001-nothing.patch" in failed.stderr
            assert (catalog / ".farm/fleet/key.pem").stat().st_mode & 0o777 == 0o600
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
    assert "Traceback" not in (tmp_path / "worker.log").read_text()
    assert not list((catalog / ".farm/store/pins").iterdir())
