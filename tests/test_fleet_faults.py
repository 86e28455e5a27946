"""Workers whose clock is wrong by hours, and workers that are cut off from the network: nothing is done twice at once,
nothing is lost. Real processes, a real Redis, both databases."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import why_no_postgresql
from fleet_process import PLAN
from proxy import Proxy, of_postgresql, proxy, through
from redis_server import Redis, why_no_redis
from test_fleet import (
    ON_POSTGRESQL,
    Building,
    assert_whole,
    broker,
    home,
    lines,
    url,
    wait_for,
    worker,
)
from test_fleet_chaos import assert_never_twice_at_once
from test_ledger_database import emptied

from farm.model.events import State
from farm.store.ledger import Ledger

__all__ = ["broker", "home", "url"]  # fixtures
Clock = Callable[[int], dict[str, str]]
HOURS = 3600
AHEAD, BEHIND = 7 * HOURS, -7 * HOURS


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """The environment of programs that believe in another time of day, by seconds."""
    library = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    source = Path(__file__).parent / "wrong_clock.c"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return lambda shift: {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(shift)}


@pytest.mark.parametrize("shift", [AHEAD, BEHIND])
def test_the_clocks_of_these_tests_are_really_wrong(shift: int, clock: Clock) -> None:
    code = (
        "import sqlite3, time; started = time.monotonic(); time.sleep(0.1)\n"
        "now = sqlite3.connect(':memory:').execute(\"SELECT unixepoch('now')\").fetchone()[0]\n"
        "print(time.time(), now, time.monotonic() - started)"
    )
    env = {**os.environ, **clock(shift)}
    said = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    wall, database, slept = map(float, said.split())
    assert abs(wall - time.time() - shift) < HOURS / 2
    assert abs(database - time.time() - shift) < HOURS / 2
    assert 0.1 <= slept < HOURS / 2


def test_wrong_clocks_neither_double_nor_lose_anything(home: Path, url: str, broker: Redis, clock: Clock) -> None:
    """One worker lives seven hours ahead, one seven hours behind; every step takes longer than a lease."""
    with contextlib.ExitStack() as stack:
        for shift in (AHEAD, BEHIND):
            stack.enter_context(worker(home, url, broker.url, slots=1, seconds=4.0, env=clock(shift)))
        assert Building(home, url, broker.url).states() == {State.BUILT}
    assert_whole(home, url)
    assert_never_twice_at_once(home)
    assert sorted(name for name, _ in lines(home, "begin")) == sorted(step.recipe for step in PLAN.steps)
    assert len({pid for _, pid in lines(home, "begin")}) == 2, "each built something"


@pytest.mark.parametrize("shift", [AHEAD, BEHIND])
def test_what_a_worker_with_a_wrong_clock_had_is_taken_over(
    shift: int, home: Path, url: str, broker: Redis, clock: Clock
) -> None:
    """It is stopped in the middle: its lease runs out all the same, and what it says later does not count."""
    with worker(home, url, broker.url, slots=1, seconds=60.0, env=clock(shift)) as first:
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        stopped = lines(home, "begin")[0][1]
        first.send_signal(signal.SIGSTOP)
        os.kill(stopped, signal.SIGSTOP)
        with (home / "built.log").open("a") as log:
            log.write(f"stopping all {stopped}\n")
        with worker(home, url, broker.url, slots=1):
            assert building.states() == {State.BUILT}
            os.kill(stopped, signal.SIGCONT)
            first.send_signal(signal.SIGCONT)
            wait_for(lambda: lines(home, "gave-up"))
    assert_whole(home, url)
    assert_never_twice_at_once(home)


@pytest.fixture
def doors(server: str, broker: Redis) -> Iterator[tuple[Proxy, Proxy]]:
    """To PostgreSQL and to Redis."""
    with proxy(of_postgresql(server)) as database, proxy(("127.0.0.1", broker.port)) as messages:
        yield database, messages


def test_a_worker_that_is_cut_off_loses_its_step_and_gives_it_up_when_it_is_back(
    home: Path, server: str, broker: Redis, doors: tuple[Proxy, Proxy]
) -> None:
    url = emptied(server)
    database, messages = doors
    far = f"redis://127.0.0.1:{messages.port}/0"
    with worker(home, through(database, url), far, slots=1, seconds=30.0):
        building = Building(home, url, broker.url)
        wait_for(lambda: lines(home, "begin"))
        name, cut_off = lines(home, "begin")[0]
        database.cut()
        messages.cut()
        with (home / "built.log").open("a") as log:  # it cannot know that others take over: its word does not count
            log.write(f"stopping all {cut_off}\n")
        with worker(home, url, broker.url, slots=1):
            wait_for(lambda: [one for one in lines(home, "end") if one[0] == name and one[1] != cut_off])
            database.mend()
            messages.mend()
            assert building.states() == {State.BUILT}
            wait_for(lambda: (name, cut_off) in lines(home, "gave-up"))
    assert_whole(home, url)
    assert_never_twice_at_once(home)


def test_a_dead_connection_is_noticed_soon_unless_the_url_says_otherwise(server: str) -> None:
    for more, milliseconds in (("", "15000"), ("&tcp_user_timeout=60000", "60000")):
        with Ledger.open(f"{emptied(server)}{more}") as ledger, ledger.reading() as connection:
            driver: Any = connection.connection.dbapi_connection
            given = driver.info.get_parameters()
        assert given["tcp_user_timeout"] == milliseconds
        assert (given["keepalives_idle"], given["connect_timeout"]) == ("5", "15")


@ON_POSTGRESQL
def test_who_asks_waits_when_it_is_cut_off(
    home: Path, url: str, server: str, broker: Redis, doors: tuple[Proxy, Proxy]
) -> None:
    """Workers go on; the one who asks hears of it when the network is back."""
    database, messages = doors
    with worker(home, url, broker.url, seconds=0.5):
        building = Building(home, through(database, url), f"redis://127.0.0.1:{messages.port}/0")
        wait_for(lambda: lines(home, "begin"))
        database.cut()
        messages.cut()
        wait_for(lambda: len(lines(home, "end")) >= 2)
        with Ledger.open(url) as ledger:
            wait_for(lambda: not ledger.keys_of_jobs())
        database.mend()
        messages.mend()
        assert building.states() == {State.BUILT}
    assert_whole(home, url)
    assert_never_twice_at_once(home)


if why_no_postgresql() or why_no_redis():
    pytestmark = pytest.mark.skip(reason=f"the fleet was not tested: {why_no_postgresql() or why_no_redis()}")
