"""TLS to a real Redis and a real PostgreSQL, both with certificates of clients: who is known gets a library built; who
is not, or talks to somebody else than they think, is told what to change. Passwords are shown nowhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import compose
import pytest
import small_farm
from compose import Bare
from databases import why_no_postgresql
from redis_server import why_no_redis

from farm.errors import FleetError
from farm.fleet import broker, greeting
from farm.settings import load

SECRET = "geheimes-wort"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Bare]:
    """The servers of compose.yaml, and another authority that nobody of them knows."""
    if reason := why_no_postgresql() or why_no_redis():
        pytest.skip(f"TLS was not tested: {reason}")
    with tempfile.TemporaryDirectory(prefix="farm-tls-") as name:  # sockets have short names
        place = Path(name).resolve()
        catalog = small_farm.make(place / "catalog")
        command: list[str | Path] = [sys.executable, small_farm.ROOT / "scripts/fleet_secrets.py", place / "others"]
        subprocess.run(command, check=True, timeout=60)
        with compose.bare(place, load().cache, catalog) as made:
            yield made


def environment(fleet: Bare, **changes: str) -> dict[str, str]:
    given = {**fleet.environment("worker"), "FARM_HOME": str(fleet.place / "home-of-worker")}
    return {**os.environ, **given, "FARM_FLEET_KEY": str(fleet.place / "secrets/fleet_key"), **changes}


def farm(fleet: Bare, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farm.cli", *words]
    return subprocess.run(command, env=environment(fleet, **changes), capture_output=True, text=True, timeout=300)


def test_a_worker_builds_through_both(fleet: Bare) -> None:
    trusted = str(fleet.place / "secrets/trusted_keys")
    command = [sys.executable, "-m", "farm.cli", "worker", "--trusted", trusted]
    worker = subprocess.Popen(command, env=environment(fleet), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert worker.stdout is not None
        assert b"1 slot" in worker.stdout.readline()
        home = str(fleet.place / "home")
        done = farm(fleet, "build", "tiny", "--broker", "env", "--follow", FARM_HOME=home)
        assert done.returncode == 0, done.stderr
        assert "1 built" in done.stdout
        assert re.search(r"tiny@1.0/\S+ \| cc ", done.stdout), "the log came through Redis"
        assert not list(Path(home, "logs").glob("*.log")), "it was the worker who built"
    finally:
        worker.send_signal(signal.SIGTERM)
        said = worker.communicate(timeout=60)[0].decode()
    assert worker.returncode == 0
    assert "Traceback" not in said
    assert "answer" not in said, "both servers answered all the time"


def test_messages_wake_workers_through_tls(fleet: Bare) -> None:
    url, woken = environment(fleet)["FARM_BROKER"], threading.Event()
    heard: list[tuple[str, str]] = []

    def wake(queue: str, key: str) -> None:
        heard.append((queue, key))
        woken.set()

    greeting.greet(url)
    waker = broker.Waker(url)
    broker.listen(url, ["tls.test"], wake)
    waker.wake([("tls.test", "a key")])
    assert woken.wait(60)
    waker.close()
    assert heard == [("tls.test", "a key")]


def redis_url(
    fleet: Bare, *, user: str = "default", host: str = "localhost", ca: str = "secrets", client: str = "secrets"
) -> str:
    options = [f"ssl_ca_certs={fleet.place / ca / 'ca'}"] if ca else []
    if client:
        files = fleet.place / client
        options += [f"ssl_certfile={files / 'client_certificate'}", f"ssl_keyfile={files / 'client_key'}"]
    return f"rediss://{user}:{SECRET}@{host}:{fleet.ports['6380']}/0?{'&'.join(options)}"


@pytest.mark.parametrize(
    ("given", "why", "fix"),
    [
        ({"ca": "others"}, "signed by no authority that this machine trusts", "ssl_ca_certs=FILE"),
        ({"ca": ""}, "signed by no authority that this machine trusts", "ssl_ca_certs=FILE"),
        ({"ca": "nowhere"}, "is not there", "ssl_ca_certs"),
        ({"host": "127.0.0.2"}, "its certificate is for another host", "name the host"),
        ({"client": ""}, "it wants a certificate of us", "ssl_certfile=FILE"),
        ({"client": "others"}, "signed by no authority that it trusts", "ssl_certfile=FILE"),
        ({"user": "nobody"}, "it refuses the user or the password", "FARM_BROKER"),
    ],
)
def test_a_broker_that_refuses_or_is_another_is_told_of(fleet: Bare, given: dict[str, str], why: str, fix: str) -> None:
    with pytest.raises(FleetError) as told:
        greeting.greet(redis_url(fleet, **given))
    assert why in told.value.what
    assert fix in told.value.fix
    assert SECRET not in str(told.value)


def test_a_worker_does_not_start_with_a_broker_that_refuses_it(fleet: Bare) -> None:
    trusted = str(fleet.place / "secrets/trusted_keys")
    for words in (["worker", "--trusted", trusted], ["beat"], ["build", "tiny", "--broker", "env"]):
        done = farm(fleet, *words, FARM_BROKER=redis_url(fleet, ca="others"))
        assert done.returncode == FleetError.exit_code, done.stderr
        assert "fix: ssl_ca_certs=FILE" in done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def ledger_url(
    fleet: Bare,
    *,
    host: str = "localhost",
    ca: str = "secrets",
    client: str = "secrets",
    mode: str = "",
    database: str = "farm",
) -> str:
    files = fleet.place / client
    options = [f"sslmode={mode or 'verify-full'}", "hostaddr=127.0.0.1", "connect_timeout=20"]
    options += [f"sslrootcert={fleet.place / ca / 'ca'}"] if ca else []
    options += [f"sslcert={files / 'client_certificate'}", f"sslkey={files / 'client_key'}"] if client else []
    return f"postgresql://farm:{SECRET}@{host}:{fleet.ports['5432']}/{database}?{'&'.join(options)}"


@pytest.mark.parametrize(
    ("given", "why", "fix"),
    [
        ({"ca": "others"}, "signed by no authority that this machine trusts", "sslrootcert=FILE"),
        ({"ca": "nowhere"}, "the file of the authority is not there", "sslrootcert=FILE"),
        ({"host": "elsewhere.example"}, "certificate is for another host", "name the host"),
        ({"client": ""}, "wants a certificate of us", "sslcert=FILE"),
        ({"client": "others"}, "signed by no authority that the server trusts", "sslcert=FILE"),
        ({"client": "nowhere"}, "wants a certificate of us", "sslcert=FILE"),
        ({"mode": "disable", "ca": ""}, "the server takes connections with TLS only", "sslmode=verify-full"),
        ({"database": "nosuch"}, "the server has no such database", "createdb makes one"),
    ],
)
def test_a_ledger_that_refuses_or_is_another_is_told_of(fleet: Bare, given: dict[str, str], why: str, fix: str) -> None:
    done = farm(fleet, "fleet", "queues", FARM_LEDGER=ledger_url(fleet, **given))
    assert done.returncode == 9, done.stdout + done.stderr
    assert why in done.stderr
    assert f"fix: {fix}" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_secrets_are_not_shown_where_all_is_well(fleet: Bare) -> None:
    done = farm(fleet, "-v", "fleet", "queues", FARM_LEDGER=ledger_url(fleet))
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
