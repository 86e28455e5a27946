"""Bytes that a step moves: through Redis, to and from PostgreSQL, to and from the shared store; for the worker, for who
asks, and for a worker that has nothing to do.

A worker and whoever asks are real processes with homes of their own. Between them and each server is a door that
counts: TCP to Redis and PostgreSQL, HTTP to a store that speaks S3. Real steps are those of a tiny library and a
dependent (or `--catalog DIR` and recipes of yours). What one costs beside its own work is seen with many that do
nothing: a worker's looks for work hide it else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks._environments import ROOT
from benchmarks._fleet_many import PHASES
from benchmarks.fleet_throughput import farm_round
from benchmarks.fleet_throughput import worker as trivial_worker

sys.path.insert(0, str(ROOT / "tests"))

import small_farm
from databases import postgresql
from proxy import Proxy, of_postgresql, proxy, through
from redis_server import redis
from s3_server import BUCKET, s3

from farm.cli.output import print_json, print_table
from farm.fleet import signing, trust
from farm.fleet.queues import of_machine
from farm.model.artifact import Artifact
from farm.model.events import State
from farm.model.plan import Step
from farm.store.ledger import Ledger

IDLE_SECONDS = 10.0
SERVERS = ("Redis", "PostgreSQL", "store")
Counts = dict[str, list[int]]


@dataclass(frozen=True)
class Doors:
    """Of one machine, to the servers in the order of `SERVERS`."""

    redis: Proxy
    database: Proxy
    store: Proxy

    @classmethod
    @contextlib.contextmanager
    def opened(cls, redis_port: int, database: str, endpoint: str) -> Iterator[Doors]:
        """Doors that count from now on."""
        host = urlsplit(endpoint)
        assert host.hostname is not None
        assert host.port is not None
        with (
            proxy(("127.0.0.1", redis_port)) as to_redis,
            proxy(of_postgresql(database)) as to_database,
            proxy((host.hostname, host.port)) as to_store,
        ):
            yield cls(to_redis, to_database, to_store)

    def counts(self) -> list[int]:
        """Bytes sent and received, server by server."""
        return [count for one in (self.redis, self.database, self.store) for count in (one.sent, one.received)]

    def environment(self, url: str) -> dict[str, str]:
        """What a farm needs to go through them."""
        endpoint = f"http://127.0.0.1:{self.store.port}"
        return {
            **os.environ,
            "FARM_BROKER": f"redis://127.0.0.1:{self.redis.port}/0",
            "FARM_LEDGER": through(self.database, url),
            "FARM_STORE": f"s3://{BUCKET}/store?endpoint={endpoint}&region=us-east-1&insecure=yes",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }


def command(catalog: Path, home: Path, *words: str) -> list[str]:
    """The farm's command line."""
    return [sys.executable, "-m", "farm.cli", "--catalog", str(catalog), "--home", str(home), *words]


@contextlib.contextmanager
def worker(catalog: Path, home: Path, env: dict[str, str], trusted: Path) -> Iterator[None]:
    """A worker with one slot that is ready."""
    words = command(catalog, home, "worker", "--trusted", str(trusted))
    child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert "1 slot" in child.stdout.readline()
        time.sleep(5.0)  # the slot and its spare have loaded everything
        yield
    finally:
        child.terminate()
        child.wait(60)


@dataclass(frozen=True, kw_only=True)
class Found:
    """`wheels` in bytes; `seconds` from asking to the last wheel; `counts` to and from each server."""

    steps: int
    wheels: int
    seconds: float
    counts: Counts


def measured(catalog: Path, recipes: list[str], place: Path) -> Found:
    """Build, and count."""
    asking, working, trusted = place / "home", place / "worker", place / "home/fleet/trusted"
    with (
        redis() as broker,
        postgresql() as url,
        s3() as endpoint,
        Doors.opened(broker.port, url, endpoint) as ours,
        Doors.opened(broker.port, url, endpoint) as theirs,
    ):
        env = ours.environment(url)
        subprocess.run(command(catalog, asking, "fleet", "key"), env=env, check=True, stdout=subprocess.DEVNULL)
        with worker(catalog, working, theirs.environment(url), trusted):
            before = theirs.counts()
            time.sleep(IDLE_SECONDS)
            idle = differences(before, theirs.counts())
            start_ours, start_theirs = ours.counts(), theirs.counts()
            build = command(catalog, asking, "build", *recipes, "--broker", "env")
            started = time.monotonic()
            done = subprocess.run(build, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            seconds = time.monotonic() - started
            asked = differences(start_ours, ours.counts())
            worked = differences(start_theirs, theirs.counts())
    sizes = [wheel.stat().st_size for wheel in (asking / "store/blobs").rglob("*.whl")]
    counted: Counts = {"who asks": asked, "worker": worked, "idle": idle}
    return Found(steps=len(sizes), wheels=sum(sizes), seconds=seconds, counts=counted)


def differences(before: list[int], after: list[int]) -> list[int]:
    """What was counted between two looks."""
    return [b - a for a, b in zip(before, after, strict=True)]


def trivial(place: Path, steps: int) -> list[int]:
    """Bytes to and from Redis and PostgreSQL, of a worker and of who asks in one sum, for steps that do nothing."""
    signer = signing.make_key(place / "key.pem")
    trust.trust(place / "trusted", trust.line_of(signer, ("build",), "benchmark"))
    with (
        redis() as broker,
        postgresql() as url,
        proxy(("127.0.0.1", broker.port)) as to_redis,
        proxy(of_postgresql(url)) as to_database,
    ):
        address, near = f"redis://127.0.0.1:{to_redis.port}/0", through(to_database, url)
        with Ledger.open(near) as ledger, trivial_worker("farm", str(place), near, address, "2"):
            farm_round(ledger, address, signer, 20)  # processes have started
            before = [to_redis.sent, to_redis.received, to_database.sent, to_database.received]
            farm_round(ledger, address, signer, steps)
            after = [to_redis.sent, to_redis.received, to_database.sent, to_database.received]
    return differences(before, after)


def parts(times: int = 50) -> dict[str, list[int]]:
    """Bytes to and from PostgreSQL of what a step costs beside being handed out, and of a worker's look for work."""
    step = Step(
        id="x@1/p", slot="x/p", recipe="x", version="1", platform="p", kind="library", python=None, requires=(),
        key="0" * 64, inputs=(),
    )  # fmt: skip
    artifact = Artifact(key=step.key, filename="native_x-1-py3-none-manylinux_2_17_x86_64.whl", sha256="0" * 64, size=1)
    queues = of_machine("build", "x86_64")
    with postgresql() as url, proxy(of_postgresql(url)) as door, Ledger.open(through(door, url)) as ledger:
        ledger.record_plan([step])
        lease = ledger.lease(step.key, ttl=3600)
        assert lease is not None

        def attempt() -> None:
            number = ledger.start_attempt(step.key, log="/srv/farm/logs/x.log")
            for phase in PHASES:
                ledger.set_phase(number, phase)
            ledger.finish_attempt(number, State.BUILT, seconds=1.0, cpu_seconds=1.0, artifact=artifact)

        def look() -> None:
            ledger.requeue_lost(queues, 3.0)
            ledger.has_queued(queues)

        calls = {"an attempt": attempt, "a heartbeat": lambda: ledger.heartbeat([lease]), "a look": look}
        return {name: _bytes_of(call, door, times) for name, call in calls.items()}


def _bytes_of(call: Callable[[], object], door: Proxy, times: int) -> list[int]:
    """Bytes of one call, once statements are prepared."""
    for _ in range(10):
        call()
    before = [door.sent, door.received]
    for _ in range(times):
        call()
    return [count // times for count in differences(before, [door.sent, door.received])]


def rows(found: Found, light: list[int], steps: int) -> Iterator[list[str]]:
    """Bytes a step, and a second for who is idle."""
    table = {
        "a real step, who asks": [value / found.steps for value in found.counts["who asks"]],
        "a real step, the worker": [value / found.steps for value in found.counts["worker"]],
        "a step that does nothing, both": [value / steps for value in light],
        "a second of an idle worker": [value / IDLE_SECONDS for value in found.counts["idle"]],
    }
    for name, values in table.items():
        yield [name, *(f"{value:,.0f}" for value in values), *["-"] * (2 * len(SERVERS) - len(values))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="*", help="default: all of the catalog")
    parser.add_argument("--catalog", type=Path, help="default: a tiny library and a dependent")
    parser.add_argument("--steps", type=int, default=300, help="that do nothing")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        catalog = args.catalog or small_farm.make(place / "catalog")
        found = measured(catalog, args.recipe, place)
        light, pieces = trivial(place, args.steps), parts()
    if args.json:
        print_json({**asdict(found), "trivial": light, "parts": pieces})
        return 0
    print(f"{found.steps} steps in {found.seconds:.0f} s, wheels of {found.wheels:,} bytes in all")
    print_table(
        ["bytes", *(f"{way} {server}" for server in SERVERS for way in ("to", "from"))],
        list(rows(found, light, args.steps)),
    )
    print_table(
        ["bytes", "to PostgreSQL", "from PostgreSQL"],
        [[name, *(f"{value:,}" for value in values)] for name, values in pieces.items()],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
