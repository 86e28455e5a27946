"""Seconds from `kill -9` of what builds a step until the step is built again by somebody else, by default settings.

Three deaths: one slot, whose parent lives; a worker with its slots, seen by a worker on the same machine; and one on
another machine (a PID namespace of its own: its death cannot be seen, only that its heartbeat stops).
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks._environments import ROOT

sys.path.insert(0, str(ROOT / "tests"))

import fleet_process
from databases import postgresql
from redis_server import redis
from test_fleet import Building, lines, slots_of, worker

from farm.cli.output import print_json, print_table
from farm.fleet.slot import FLEET_LEASE_SECONDS

GOAL = 5.0
_APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def wait_for(what: Callable[[], object]) -> None:
    """Until it is there."""
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def again(home: Path) -> Callable[[], bool]:
    """Whether the step that was begun first was begun a second time."""
    first = lines(home, "begin")[0][0]
    return lambda: [name for name, _ in lines(home, "begin")].count(first) > 1


def one(url: str, address: str, death: str) -> float:
    """Seconds of one death."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        fleet_process.key_of(home)
        lease = FLEET_LEASE_SECONDS
        command = [sys.executable, str(ROOT / "tests/fleet_process.py")]
        arguments = ["worker", str(home), url, address, "1", "60", str(lease)]
        apart = _APART if death == "another machine" else ()
        victim = subprocess.Popen([*apart, *command, *arguments], stdout=subprocess.PIPE, start_new_session=True)
        assert victim.stdout is not None
        victim.stdout.readline()
        building = Building(home, url, address)
        wait_for(lambda: lines(home, "begin"))
        if death == "one slot":
            pid = lines(home, "begin")[0][1]
            os.kill(pid, signal.SIGKILL)
            started = time.monotonic()
            wait_for(again(home))
            seconds = time.monotonic() - started
        else:
            with worker(home, url, address, slots=2, seconds=60, lease=lease):
                wait_for(lambda: len(lines(home, "begin")) > 1)  # it is at work itself, with a slot to spare
                seen = again(home)
                victim.kill()
                for pid in slots_of_victim(home, victim):
                    os.kill(pid, signal.SIGKILL)
                started = time.monotonic()
                wait_for(seen)
                seconds = time.monotonic() - started
        building.cancel.set()
        building.join()
        victim.kill()
        for pid in slots_of(home):
            os.kill(pid, signal.SIGKILL)
        victim.wait()
    return seconds


def slots_of_victim(home: Path, victim: subprocess.Popen[bytes]) -> list[int]:
    """The slots of a worker on this machine (those in a namespace die with it)."""
    return [pid for pid in slots_of(home) if Path(f"/proc/{pid}/stat").read_text().split()[3] in ("1", str(victim.pid))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    deaths = ("one slot", "a worker", "another machine")
    with redis() as server:
        taken: dict[str, list[float]] = {death: [] for death in deaths}
        for _ in range(args.rounds):
            for death in deaths:
                with postgresql() as url:
                    taken[death].append(one(url, server.url, death))
                    print(f"{death}: {taken[death][-1]:.1f} s", file=sys.stderr, flush=True)
    if args.json:
        print_json(taken)
    else:
        rows = [[death, f"{statistics.median(s):.1f} s", f"{max(s):.1f} s"] for death, s in taken.items()]
        print_table(["what died", "median", f"longest (goal: {GOAL:g} s)"], rows)
    return 0 if max(max(s) for s in taken.values()) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
