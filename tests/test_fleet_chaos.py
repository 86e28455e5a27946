"""Chaos: four workers build plans while a seeded schedule kills, stops and restarts everything around them.

What must hold whatever happens: nothing is lost, no step is built twice at the same time, every wheel is whole and
written down, nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import fleet_process
import pytest
from databases import postgresql, restart, why_no_postgresql
from fleet_process import PLAN
from redis_server import Redis, redis, why_no_redis
from test_fleet import Building, assert_whole, slots_of, worker
from test_ledger_database import emptied

from farm.model.events import State

WORKERS = 4
LEASE = 3.0
FEW = range(1)
MANY = range(1, 101)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if reason := why_no_postgresql() or why_no_redis():
        pytest.skip(f"the fleet was not tested: {reason}")
    with postgresql() as url:
        yield url


@dataclass
class Chaos:
    """What may happen. Every act is written into `built.log` before it is done, so that the log tells the story."""

    chance: random.Random
    home: Path
    url: str
    broker: Redis
    start: Callable[[], subprocess.Popen[str]]
    workers: list[subprocess.Popen[str]]
    stopped: set[int] = field(default_factory=set)

    def act(self) -> None:
        """One thing, by chance."""
        self.chance.choice(
            [self.kill_slot, self.kill_slot, self.kill_worker, self.kill_all, self.stop, self.wipe_redis, self.restart]
        )()

    def kill_slot(self) -> None:
        """kill -9 of one process that works."""
        slots = sorted(slots_of(self.home))
        if slots:
            self._kill(self.chance.choice(slots))

    def kill_worker(self) -> None:
        """kill -9 of a parent; its slots finish what they have."""
        self._replace(self.chance.randrange(len(self.workers)))

    def kill_all(self) -> None:
        """kill -9 of everything that works."""
        for number in range(len(self.workers)):
            self._replace(number)
        for pid in slots_of(self.home):
            self._kill(pid)

    def stop(self) -> None:
        """A slot stops for longer than its lease, then goes on."""
        slots = sorted(set(slots_of(self.home)) - self.stopped)
        if slots:
            pid = self.chance.choice(slots)
            self._say(f"stopping all {pid}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stopped.add(pid)

    def wipe_redis(self) -> None:
        """Redis dies with all that it holds, and comes back after a while."""
        self.broker.stop()
        time.sleep(self.chance.uniform(0.0, 0.5))
        self.broker.start()

    def restart(self) -> None:
        """PostgreSQL restarts and cuts every connection."""
        restart(self.url)

    def let_go(self) -> None:
        """Stopped processes go on."""
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()

    def _replace(self, number: int) -> None:
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = self.start()

    def _kill(self, pid: int) -> None:
        self._say(f"killing all {pid}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _say(self, text: str) -> None:
        fleet_process.say(self.home, text)


def survive(seed: int, home: Path, url: str) -> None:
    """One round."""
    chance = random.Random(seed)
    home.mkdir(parents=True)
    fleet_process.key_of(home)
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(redis())

        def pace() -> float:
            return round(chance.uniform(0.1, 0.6), 2)

        def start(seconds: float = 0.0) -> subprocess.Popen[str]:
            return stack.enter_context(worker(home, url, broker.url, slots=1, seconds=seconds or pace(), lease=LEASE))

        with ThreadPoolExecutor(WORKERS) as pool:  # at once: most of a round is the start of interpreters
            workers = list(pool.map(start, [pace() for _ in range(WORKERS)]))
        chaos = Chaos(chance=chance, home=home, url=url, broker=broker, start=start, workers=workers)
        stack.callback(chaos.let_go)
        building = Building(home, url, broker.url)
        for _ in range(chance.randrange(3, 7)):
            time.sleep(chance.uniform(0.1, 1.0))
            if not building.is_alive():
                break
            chaos.act()
        time.sleep(chance.uniform(0.0, LEASE))
        chaos.let_go()
        assert building.states() <= {State.BUILT, State.CACHED}
    assert_whole(home, url)
    assert_never_twice_at_once(home)


def assert_never_twice_at_once(home: Path) -> None:
    """A build that was killed or stopped is over; any other ends before the next build of its step begins."""
    busy: dict[str, int] = {}
    for line in (home / "built.log").read_text().splitlines():
        word, name, number = line.split()
        pid = int(number)
        if word == "begin":
            assert name not in busy, f"{name} is begun by {pid} while {busy[name]} builds it"
            busy[name] = pid
        elif word in ("end", "gave-up"):
            if busy.get(name) == pid:
                del busy[name]
        else:
            busy = {step: other for step, other in busy.items() if other != pid}


@pytest.mark.parametrize("seed", FEW)
def test_a_fleet_survives_chaos(seed: int, tmp_path: Path, server: str) -> None:
    survive(seed, tmp_path / "home", emptied(server))
    assert len(PLAN.steps) == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY)
def test_a_fleet_survives_much_chaos(seed: int, tmp_path: Path, server: str) -> None:
    survive(seed, tmp_path / "home", emptied(server))
