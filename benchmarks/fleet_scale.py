"""What 10 and 100 slots cost the ledger: simulated machines with real leases, heartbeats, looks and steps on a real
PostgreSQL that waits for its disk, beside what docs/scale.md computes for so many.

Each slot has its own connections and its own heartbeat, as a slot's process has; each machine of four looks for work
and for the dead. Steps take five minutes on the mean and do nothing. More slots than a machine can simulate come late
with their heartbeats: that is told, too (`late`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._environments import ROOT
from benchmarks.fleet_throughput import jobs

sys.path.insert(0, str(ROOT / "tests"))

from databases import postgresql

from farm.cli.output import print_json, print_table
from farm.fleet import signing, trust
from farm.fleet.slot import FLEET_LEASE_SECONDS
from farm.store.ledger import Ledger

MEAN = 300.0  # seconds a step
SLOTS = 4  # a machine
COMMITS = 11  # of a step, docs/scale.md
_BEAT = FLEET_LEASE_SECONDS / 4
_MACHINES = 10  # a process
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Crowd:
    """Processes that simulate machines."""

    children: tuple[subprocess.Popen[str], ...]

    def happened(self) -> dict[str, list[float]]:
        """What happened since this was last asked, from all of them; `cpu` is seconds so far, one number each."""
        found: dict[str, list[float]] = {}
        for child in self.children:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            said: dict[str, Any] = json.loads(child.stdout.readline())
            for what, values in said.items():
                found.setdefault(what, []).extend([values] if what == "cpu" else values)
        return found


@contextmanager
def crowd(place: Path, url: str, machines: int) -> Iterator[Crowd]:
    """So many machines of four slots."""
    counts = [min(_MACHINES, machines - begun) for begun in range(0, machines, _MACHINES)]
    command = [sys.executable, "-m", "benchmarks._fleet_many", str(place), url]
    with ExitStack() as stack:
        children = []
        for count in counts:
            words = [*command, str(count), str(SLOTS), str(MEAN)]
            child = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(child.wait)
            stack.callback(child.kill)
            children.append(child)
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield Crowd(tuple(children))


def one(place: Path, url: str, slots: int, seconds: float, signer: signing.Signer) -> dict[str, float]:
    """Measure so many slots for so many seconds."""
    with Ledger.open(url) as ledger, crowd(place, url, max(1, slots // SLOTS)) as many:
        ledger.submit_jobs(jobs(uuid.uuid4().hex, slots * 3, signer))
        deadline = time.monotonic() + 300
        while len(ledger.leased_keys()) < slots // SLOTS * SLOTS and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(FLEET_LEASE_SECONDS)
        before, commits, spent = many.happened(), _commits(url), _server_seconds(url)
        started = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - started
        found, at_work = many.happened(), len(ledger.leased_keys())
        after = _commits(url), _server_seconds(url), _connections(url)
    beats, looks = found.get("beat", []), found.get("look", [])
    return {
        "slots": at_work,
        "connections": after[2],
        "beats_computed": at_work / _BEAT,
        "beats": len(found.get("beat_took", [])) / took,
        "late": max(beats, default=0.0),
        "steps_computed": at_work / MEAN,
        "steps": len(found.get("step", [])) / took,
        "looks": len(looks) / took,
        "look_ms": statistics.median(looks) * 1000 if looks else 0.0,
        "commits": (after[0] - commits) / took,
        "server_cores": (after[1] - spent) / took,
        "clients_cores": (sum(found["cpu"]) - sum(before["cpu"])) / took,
    }


def _commits(url: str) -> int:
    """Transactions that ended well, those that only read among them."""
    return int(_ask(url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))


def _connections(url: str) -> int:
    return int(_ask(url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")) - 1


def _ask(url: str, query: str) -> Any:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        return connection.execute(query).fetchone()[0]  # type: ignore[index]


def _server_seconds(url: str) -> float:
    """Processor seconds of the server's processes that live."""
    parent = Path(url.partition("host=")[2], "data/postmaster.pid").read_text().split()[0]
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if parent in (fields[1], entry.name):
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[12, 100])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for slots in args.slots:
        with tempfile.TemporaryDirectory() as name, postgresql(durable=True, connections=4 * slots + 50) as url:
            place = Path(name)
            signer = signing.make_key(place / "key.pem")
            trust.trust(place / "trusted", trust.line_of(signer, ("build",), "benchmark"))
            rows.append(one(place, url, slots, args.seconds, signer))
    if args.json:
        print_json({"load": os.getloadavg()[0], "rows": rows})
        return 0
    names = list(rows[0])
    print_table(["what", *("" for _ in rows)], [[name, *(f"{row[name]:.2f}" for row in rows)] for name in names])
    return 0


if __name__ == "__main__":
    sys.exit(main())
