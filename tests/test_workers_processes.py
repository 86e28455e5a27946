"""Several farm processes on one FARM_HOME, killed and interrupted: nothing is lost, nothing is built twice at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from databases import postgresql, why_no_postgresql
from farm_process import PLAN

from farm.model.events import State
from farm.store.artifacts import Store
from farm.store.ledger import Ledger

SCRIPT = str(Path(__file__).parent / "farm_process.py")


def farm(
    home: Path, *, jobs: int = 2, seconds: float = 0.05, mode: str = "wait", url: str = ""
) -> subprocess.Popen[str]:
    home.mkdir(exist_ok=True)
    arguments = [sys.executable, SCRIPT, str(home), str(jobs), str(seconds), mode, *([url] if url else [])]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def programs_of(child: subprocess.Popen[str]) -> list[int]:
    """The programs that a farm runs now."""
    return [
        int(pid)
        for task in Path(f"/proc/{child.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def builds(home: Path, word: str) -> Counter[str]:
    log = home / "built.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(word))


def finish(child: subprocess.Popen[str]) -> str:
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 0, output
    return output


def assert_whole(home: Path) -> None:
    store = Store(home / "store")
    with Ledger.open(f"sqlite:///{home}/ledger.sqlite") as ledger:
        for step in PLAN.steps:
            artifact = store.get(step.key)
            assert artifact is not None
            assert store.verify(artifact)
            assert ledger.built(step.key) is not None
        assert ledger.leased_keys() == set()


def test_processes_that_build_the_same_plan_share_the_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    children = [farm(home, jobs=2, seconds=0.15) for _ in range(3)]
    outputs = [finish(child) for child in children]
    assert builds(home, "begin") == {step.recipe: 1 for step in PLAN.steps}
    assert any("which is building this" in output for output in outputs)
    assert_whole(home)


def test_processes_share_the_work_through_postgresql_too(tmp_path: Path) -> None:
    if reason := why_no_postgresql():
        pytest.skip(f"PostgreSQL was not tested: {reason}")
    home = tmp_path / "home"
    with postgresql() as url:
        children = [farm(home, jobs=2, seconds=0.1, url=url) for _ in range(3)]
        for child in children:
            finish(child)
    assert builds(home, "begin") == {step.recipe: 1 for step in PLAN.steps}


def test_a_killed_farm_is_continued_at_once(tmp_path: Path) -> None:
    """kill -9 leaves leases behind: their owner is dead, so nobody waits for them to expire."""
    home = tmp_path / "home"
    child = farm(home, jobs=1, seconds=30, mode="long-lease")  # longer than `finish` waits
    while not builds(home, "begin"):
        time.sleep(0.05)
    child.kill()
    child.communicate()
    finish(farm(home, jobs=2, seconds=0.01))
    assert_whole(home)
    with Ledger.open(f"sqlite:///{home}/ledger.sqlite") as ledger:
        first = ledger.attempts_of(PLAN.steps[0].key)[-1]
        assert first.state is State.CANCELLED
        assert "ended without a word" in first.error


@pytest.mark.parametrize("recipe", ["gmp", PLAN.steps[-1].recipe])
def test_a_farm_killed_between_store_and_ledger_is_made_good(tmp_path: Path, recipe: str) -> None:
    """The wheel is stored, the ledger has not heard of it: the next run tells it, even with nothing to build."""
    home = tmp_path / "home"
    child = farm(home, jobs=1, seconds=0.01, mode=f"die-at-{recipe}")
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    finish(farm(home, seconds=0.01))
    assert builds(home, "begin") == {step.recipe: 1 for step in PLAN.steps}
    assert_whole(home)
    assert not list((home / "store" / "pins").iterdir())


@pytest.mark.parametrize("seed", range(4))
def test_farms_killed_at_random_lose_nothing_and_never_build_one_step_twice_at_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    home = tmp_path / "home"
    children = [farm(home, seconds=0.1) for _ in range(2)]
    for _ in range(4):
        time.sleep(chance.uniform(0.2, 0.8))
        victim = children.pop(chance.randrange(2))
        with (home / "built.log").open("a") as log:
            log.write(f"killing all {victim.pid}\n")
        victim.kill()
        victim.communicate()
        children.append(farm(home, seconds=0.1))
    for child in children:
        finish(child)
    assert_whole(home)
    busy: dict[str, str] = {}
    for line in (home / "built.log").read_text().splitlines():
        word, name, pid = line.split()
        if word == "begin":
            assert name not in busy, f"{name} is begun by {pid} while {busy[name]} builds it"
            busy[name] = pid
        elif word == "end":
            busy.pop(name)
        else:
            busy = {other: owner for other, owner in busy.items() if owner != pid}


def test_the_failure_of_another_process_is_taken_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = farm(home, jobs=1, seconds=15, mode="sleep")
    while not builds(home, "begin"):
        time.sleep(0.05)
    second = farm(home, jobs=1, seconds=0.01)
    assert second.stdout is not None
    lines: list[str] = []
    while "which is building this" not in "".join(lines):
        lines.append(second.stdout.readline())
    for pid in programs_of(first):
        os.kill(pid, signal.SIGTERM)
    output = second.communicate(timeout=240)[0]  # the first goes on with other steps, which the second waits for
    assert second.returncode == 1
    assert f"built by process {first.pid}" in output
    assert builds(home, "begin")["gmp"] == 1
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def test_ctrl_c_ends_programs_attempts_and_leases(tmp_path: Path) -> None:
    home = tmp_path / "home"
    child = farm(home, jobs=2, seconds=600, mode="sleep")
    while len(builds(home, "begin")) < 2:
        time.sleep(0.05)
    time.sleep(0.2)
    programs = programs_of(child)
    assert len(programs) == 2
    child.send_signal(signal.SIGINT)
    output = child.communicate(timeout=60)[0]
    assert "KeyboardInterrupt" in output
    assert not any(Path(f"/proc/{pid}").exists() for pid in programs)
    with Ledger.open(f"sqlite:///{home}/ledger.sqlite") as ledger:
        states = {ledger.last_attempt(step.key).state for step in PLAN.steps if ledger.last_attempt(step.key)}  # type: ignore[union-attr]
        assert states == {State.CANCELLED}
        for step in PLAN.steps:
            assert ledger.holder(step.key) is None
    finish(farm(home, seconds=0.01))
    assert_whole(home)
