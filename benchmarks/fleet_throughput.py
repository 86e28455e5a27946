"""Trivial steps a second, end to end through Redis and PostgreSQL, against plain Celery with results in Redis.

Both ask for the same number of steps with the same number of processes and wait for every answer, in turns. The farm's
side signs, checks signatures, takes leases and keeps every answer in a database that survives a power cut. Then: how
long it takes to hand out one step when 1,000 and when 300,000 are queued.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmarks._environments import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from databases import postgresql
from redis_server import redis

from farm.cli.output import print_json, print_table
from farm.fleet import broker, signing, trust
from farm.fleet.order import Order
from farm.fleet.show import Watcher
from farm.model.job import JobEnd, JobState, NewJob
from farm.store.ledger import Ledger

GOAL = 0.8
_CATALOG = "0" * 64


def jobs(run: str, count: int, signer: signing.Signer) -> Iterator[NewJob]:
    """Signed orders for steps that do nothing."""
    for number in range(count):
        key = hashlib.sha256(f"{run}-{number}".encode()).hexdigest()
        order = Order(kind="build", step=f"step-{number}", key=key, catalog=_CATALOG, rights="build").text()
        yield NewJob(
            run=run,
            key=key,
            what=f"step-{number}",
            queue="build",
            payload=order,
            signature=signer.sign(order),
            signer=signer.name,
            urgency=float(number % 1000),
        )


def farm_round(ledger: Ledger, address: str, signer: signing.Signer, count: int) -> float:
    """Seconds until every step is done and known to be."""
    run, look, waker = uuid.uuid4().hex, threading.Event(), broker.Waker(address)
    watcher = Watcher(address, run, lambda _event: None, lambda _step, _text: None, look.set)
    started = time.monotonic()
    new = list(jobs(run, count, signer))
    ledger.submit_jobs(new)
    waker.wake((job.queue, job.key) for job in new)
    done = 0
    ended: tuple[JobEnd, ...] = ()
    while done < count:
        if look.wait(0.3):
            time.sleep(0.05)  # as farm.fleet.hands does
        look.clear()
        ended = ledger.ended_jobs(run, ended)
        assert all(end.state is JobState.DONE for end in ended), ended
        done += len(ended)
    seconds = time.monotonic() - started
    watcher.close()
    waker.close()
    return seconds


def celery_round(address: str, count: int) -> float:
    """The same for plain Celery."""
    from benchmarks._fleet_celery import app_of

    app = app_of(address)
    started = time.monotonic()
    results = [app.send_task("plain.step", kwargs={"step": f"step-{number}"}) for number in range(count)]
    for result in results:
        assert result.get(timeout=600)["state"] == "built"
    return time.monotonic() - started


@contextlib.contextmanager
def worker(*arguments: str) -> Iterator[None]:
    """Worker processes."""
    command = [sys.executable, "-m", "benchmarks._fleet_worker", *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield
    finally:
        child.terminate()
        child.wait(60)


def dispatch(ledger: Ledger, signer: signing.Signer, queued: int) -> float:
    """Milliseconds to take one step and its lease, the median of 200, when so many are queued."""
    ledger.submit_jobs(jobs(uuid.uuid4().hex, queued, signer))
    for _ in range(20):
        ledger.claim_job(["build"], ttl=3600)
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        assert ledger.claim_job(["build"], ttl=3600) is not None
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--queued", type=int, default=300_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: dict[str, object] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name, redis() as server, postgresql(durable=True) as url:
        place = Path(name)
        signer = signing.make_key(place / "key.pem")
        trust.trust(place / "trusted", trust.line_of(signer, ("build",), "benchmark"))
        with Ledger.open(url) as ledger:
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(args.rounds):
                with worker("farm", str(place), url, server.url, str(args.slots)):
                    farm_round(ledger, server.url, signer, 50)  # processes have started
                    ours.append(args.steps / farm_round(ledger, server.url, signer, args.steps))
                with worker("celery", server.url, str(args.slots)):
                    celery_round(server.url, 50)
                    theirs.append(args.steps / celery_round(server.url, args.steps))
            few = dispatch(ledger, signer, 1000)
            many = dispatch(ledger, signer, args.queued)
    ratio = statistics.median(ours) / statistics.median(theirs)
    found |= {
        "farm": ours,
        "celery": theirs,
        "ratio": ratio,
        "dispatch_ms_1000": few,
        f"dispatch_ms_{args.queued}": many,
    }
    if args.json:
        print_json(found)
    else:
        rows = [
            ["farm, steps a second", f"{statistics.median(ours):.0f}"],
            ["plain Celery with results, tasks a second", f"{statistics.median(theirs):.0f}"],
            [f"ratio (goal: at least {GOAL})", f"{ratio:.2f}"],
            ["hand out one of 1,000", f"{few:.2f} ms"],
            [f"hand out one of {args.queued:,}", f"{many:.2f} ms"],
        ]
        print_table(["what", ""], rows)
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
