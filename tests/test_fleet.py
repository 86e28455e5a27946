"""A fleet of real processes on a real Redis and both databases: killed, stopped, wiped, restarted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import fleet_process
import pytest
from databases import restart
from fleet_process import PLAN
from redis_server import Redis, redis, why_no_redis
from test_ledger_database import emptied

from farm.errors import StoreError
from farm.fleet.worker import Worker
from farm.model.events import State, StepEvent
from farm.process import Cancel
from farm.store.artifacts import Store
from farm.store.ledger import Ledger

PATIENCE = 300.0  # seconds, on a machine with much else to do
SCRIPT = str(Path(__file__).parent / "fleet_process.py")


@pytest.fixture(scope="module")
def broker() -> Iterator[Redis]:
    if reason := why_no_redis():
        pytest.skip(f"the fleet was not tested: {reason}")
    with redis() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/ledger.sqlite"
    return emptied(request.getfixturevalue("server"))


ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    fleet_process.key_of(place)
    return place


@contextmanager
def worker(
    home: Path,
    url: str,
    address: str,
    *,
    slots: int = 2,
    seconds: float = 0.05,
    lease: float = 3.0,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    arguments = ["worker", home, url, address, slots, seconds, lease]
    child = subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        stderr=(home / "worker.log").open("a"),
        env={**os.environ, **(env or {})},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGCONT)
            child.send_signal(signal.SIGINT)
            child.wait(PATIENCE)
        for pid in slots_of(home):
            os.kill(pid, signal.SIGKILL)


def slots_of(home: Path) -> list[int]:
    """Slots of workers of this home, their parents dead or not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"slot" in words and str(home).encode() in words:
                found.append(int(entry.name))
    return found


def lines(home: Path, word: str) -> list[tuple[str, int]]:
    log = home / "built.log"
    split = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(name, int(pid)) for first, name, pid in split if first == word]


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Building(threading.Thread):
    """A run in a thread of its own."""

    def __init__(self, home: Path, url: str, address: str) -> None:
        super().__init__(daemon=True)
        self.args = home, url, address
        self.cancel = Cancel()
        self.events: list[StepEvent] = []
        self.log: list[str] = []
        self.result: object = None
        self.start()

    def run(self) -> None:
        home, url, address = self.args
        with Ledger.open(url) as ledger:
            self.result = fleet_process.build(
                home,
                ledger,
                address,
                cancel=self.cancel,
                listener=self.events.append,
                on_log=lambda step, text: self.log.append(text),
            )

    def states(self) -> set[State]:
        self.join(PATIENCE)
        assert not self.is_alive(), (self.args[0] / "worker.log").read_text()
        return {outcome.state for outcome in self.result.outcomes.values()}  # type: ignore[attr-defined]


def assert_whole(home: Path, url: str) -> None:
    store = Store(home / "store")
    with Ledger.open(url) as ledger:
        for step in PLAN.steps:
            artifact = store.get(step.key)
            assert artifact is not None
            assert store.verify(artifact)
            assert ledger.built(step.key) is not None
        assert ledger.leased_keys() == set()
        assert ledger.keys_of_jobs() == set()


def test_a_plan_is_built_by_a_fleet_and_shown_as_it_goes(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, seconds=1.0):  # so long that no slot does all alone
        building = Building(home, url, broker.url)
        assert building.states() == {State.BUILT}
    assert_whole(home, url)
    assert Counter(name for name, _ in lines(home, "begin")) == {step.recipe: 1 for step in PLAN.steps}
    assert len({pid for _, pid in lines(home, "begin")}) == 2, "both slots worked"
    assert any(event.phase == "make" for event in building.events)
    assert "compiling gmp" in building.log
    order = [name for name, _ in lines(home, "end")]
    assert order.index("mpfr") < order.index("mpc")


def test_a_slot_killed_in_the_middle_costs_only_its_step(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, seconds=1.0):
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        name, pid = lines(home, "begin")[0]
        os.kill(pid, signal.SIGKILL)
        assert building.states() == {State.BUILT}
    assert_whole(home, url)
    begun = Counter(name for name, _ in lines(home, "begin"))
    assert begun == {step.recipe: 2 if step.recipe == name else 1 for step in PLAN.steps}


@ON_POSTGRESQL
def test_workers_killed_all_at_once_are_replaced_by_others(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, seconds=0.5) as first:
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        first.kill()
        for pid in slots_of(home):
            os.kill(pid, signal.SIGKILL)
        with worker(home, url, broker.url):
            assert building.states() == {State.BUILT}
    assert_whole(home, url)


@ON_SQLITE
def test_slots_whose_parent_was_killed_finish_and_leave(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, seconds=1.0) as first:
        building = Building(home, url, broker.url)
        wait_for(lambda: len(lines(home, "begin")) == 2)
        first.kill()
        wait_for(lambda: not slots_of(home))
        assert len(lines(home, "end")) == len(lines(home, "begin")), "what they had is done"
        with worker(home, url, broker.url):
            assert building.states() == {State.BUILT}
    assert Counter(name for name, _ in lines(home, "begin")) == {step.recipe: 1 for step in PLAN.steps}


@ON_POSTGRESQL
def test_redis_gone_wiped_and_back_loses_nothing(home: Path, url: str) -> None:
    with redis() as broker, worker(home, url, broker.url, seconds=0.2):
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        broker.stop()
        wait_for(lambda: len(lines(home, "end")) >= 3)
        broker.start()
        assert building.states() == {State.BUILT}
    assert_whole(home, url)
    assert Counter(name for name, _ in lines(home, "begin")) == {step.recipe: 1 for step in PLAN.steps}


def test_a_restarted_postgresql_is_waited_for(home: Path, server: str, broker: Redis) -> None:
    url = emptied(server)
    with worker(home, url, broker.url, seconds=0.2):
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        restart(url)
        assert building.states() == {State.BUILT}
    assert_whole(home, url)


@ON_POSTGRESQL
def test_a_stopped_worker_that_comes_back_publishes_nothing(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, slots=1, seconds=1.0, lease=1.5) as first:
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        step, stopped = lines(home, "begin")[0]
        os.kill(stopped, signal.SIGSTOP)
        first.send_signal(signal.SIGSTOP)
        with worker(home, url, broker.url, lease=1.5):
            wait_for(lambda: [begun for begun, _ in lines(home, "begin")].count(step) > 1)
            os.kill(stopped, signal.SIGCONT)
            first.send_signal(signal.SIGCONT)
            assert building.states() == {State.BUILT}
    assert_whole(home, url)
    log = (home / "worker.log").read_text()
    assert "went to another process" in log or "another worker" in log


@ON_SQLITE
def test_a_cancelled_run_takes_back_what_no_worker_has(home: Path, url: str, broker: Redis) -> None:
    with worker(home, url, broker.url, slots=1, seconds=1.0):
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        building.cancel.set()
        assert building.states() == {State.CANCELLED}
        with Ledger.open(url) as ledger:
            wait_for(lambda: not ledger.keys_of_jobs())
    assert len(lines(home, "begin")) == len(lines(home, "end")) == 1, "what a worker had it finished"


@ON_SQLITE
def test_an_interrupted_worker_gives_back_what_it_has(home: Path, url: str, broker: Redis) -> None:
    building = Building(home, url, broker.url)
    with worker(home, url, broker.url, slots=1, seconds=30):
        wait_for(lambda: lines(home, "begin"))
    with Ledger.open(url) as ledger:
        assert ledger.leased_keys() == set()
        assert [(depth.queued, depth.running) for depth in ledger.queue_depths()] == [(2, 0)]
    with worker(home, url, broker.url):
        assert building.states() == {State.BUILT}


def test_the_end_is_heard_while_the_ledger_is_asked() -> None:
    """A driver that is interrupted cancels its question, and says that: what interrupted it would be lost."""
    ended = []

    class Slot:
        pid = 1

        def ended(self) -> int | None:
            return None

        def interrupt(self) -> None:
            ended.append("interrupted")

        def finish(self, seconds: float) -> None:
            ended.append("finished")

    class Asked:
        def requeue_lost(self, *_: object) -> int:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
            except BaseException as error:
                raise StoreError("the question was cancelled") from error
            return 0

        def has_queued(self, *_: object) -> bool:
            return False

    made = Worker(Asked(), ["build"], Slot, 0, 1.0)  # type: ignore[arg-type]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        made.serve()
    assert ended == ["interrupted", "finished"]
    assert signal.getsignal(signal.SIGTERM) is before
