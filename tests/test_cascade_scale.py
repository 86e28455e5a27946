"""Large cascades, and processes that are killed: what a call reads, and that nothing is done twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cascades import FakeHands, draft, fresh
from sqlalchemy import Engine, event

from farm.cascade.advance import Advance
from farm.model.cascade import CascadeTask, TaskState
from farm.model.rework import Verb
from farm.store.ledger import Ledger

SCRIPT = str(Path(__file__).parent / "cascade_process.py")
B, T = Verb.BUILD, Verb.TEST


class Enough(BaseException):
    """Ends a call after so many tasks, as a kill would."""


@contextmanager
def counted(engine: Engine) -> Iterator[Counter[str]]:
    """Counts statements, and steps of SQLite's virtual machine in hundreds: that is what reading rows costs."""
    seen: Counter[str] = Counter()

    def tick() -> int:
        seen["hundred steps"] += 1
        return 0

    def connected(connection: object, *_: object) -> None:
        connection.set_progress_handler(tick, 100)  # type: ignore[attr-defined]

    def executed(*_: object) -> None:
        seen["statements"] += 1

    event.listen(engine, "checkout", connected)
    event.listen(engine, "after_cursor_execute", executed)
    try:
        yield seen
    finally:
        event.remove(engine, "checkout", connected)
        event.remove(engine, "after_cursor_execute", executed)


def many(recipes: int) -> dict[tuple[str, Verb], list[tuple[str, Verb]]]:
    """Hubs with 299 direct dependents, some of which need each other, and a test of each."""
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {}
    for number in range(recipes):
        place = number % 300
        needed = [(f"r{number - place}", B)] if place else []
        if place > 200:
            needed.append((f"r{number - 100}", B))
        graph[f"r{number}", B] = needed
    for number in range(recipes):
        graph[f"r{number}", T] = [(f"r{number}", B)]
    return graph


def cost(recipes: int, tasks: int) -> Counter[str]:
    """What a call that carries out so many tasks reads, of a cascade of so many recipes."""
    with fresh() as ledger:
        id_ = ledger.create_cascade(draft(many(recipes))).id
        assert ledger.progress(id_).total == 2 * recipes
        hands = FakeHands()

        def during(task: CascadeTask) -> None:
            if len(hands.order) >= tasks:
                raise Enough

        hands.during = during
        with counted(ledger._engine) as seen, pytest.raises(Enough):
            Advance(ledger.cascade(id_), ledger=ledger, hands=hands).to_the_end()
        read = Counter(seen)
        assert len(ledger.tasks_of(id_, TaskState.DONE)) == tasks
        return read


def check_flat(small: int, large: int) -> None:
    few, lots = cost(small, 8), cost(large, 8)
    assert lots["statements"] == few["statements"] < 8 * 25
    assert lots["hundred steps"] < few["hundred steps"] * 1.5 + 50, "more tasks are no more to read"


def test_advancing_reads_the_ready_tasks_only() -> None:
    check_flat(300, 3000)


@pytest.mark.slow
def test_advancing_a_cascade_of_300000_tasks() -> None:
    check_flat(300, 150_000)


def test_killed_processes_do_nothing_twice(tmp_path: Path) -> None:
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {("hub", B): []}
    graph |= {(f"d{n}", B): [("hub", B)] for n in range(6)} | {(f"d{n}", T): [(f"d{n}", B)] for n in range(6)}
    (tmp_path / "wheels").mkdir()
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.create_cascade(draft(graph))
    log, rng, killed = tmp_path / "done.log", random.Random(7), 0
    command = [sys.executable, SCRIPT, str(tmp_path), "2", "0.1"]
    while killed < 2:
        children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
        begun = log.read_text().count("begin") if log.exists() else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and children[0].poll() is None:
            if log.exists() and log.read_text().count("begin") > begun:
                break
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.15))
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()
        killed += 1
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        for _ in range(3):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
            if ended == "testing 0\n" and ledger.progress(1).having(TaskState.DONE) == len(graph):
                break
        else:
            raise AssertionError(f"it does not end: {ended}")
        assert ledger.leased_keys() == set()
    ends = Counter(line.split()[2] for line in log.read_text().splitlines() if line.startswith("end build"))
    assert set(ends.values()) == {1}, "no wheel was made twice"
    assert len(ends) == 7
