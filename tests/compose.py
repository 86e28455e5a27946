"""compose.yaml as values, and its services as bare processes of this machine. Not a test module.

What a container would be given by its engine (a name of its own, /run/secrets, volumes) is replaced by what is here;
the commands, their options and the names of environment variables are those of the file.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import databases
from redis_server import MORTAL
from ruamel.yaml import YAML
from small_farm import ROOT

COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = tuple(name for name, service in SERVICES.items() if "build" in service)
BIN = Path(sys.executable).parent
PATIENCE = 60.0  # seconds


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Bare:
    """Services as processes below `place`; `cache` is the user's own, so that no compiler is fetched anew."""

    place: Path
    cache: Path
    catalog: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ("5432", "6380", "8000")})

    def words(self, service: str) -> list[str]:
        return [self.here(word, service) for word in SERVICES[service]["command"]]

    def environment(self, service: str) -> dict[str, str]:
        given = {name: self.here(value, service) for name, value in SERVICES[service].get("environment", {}).items()}
        return {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.place), **given}

    def here(self, text: str, service: str) -> str:
        """A word of the file, with the places and ports of this machine."""
        for name in ("redis", "postgres"):
            text = re.sub(rf"\b{name}:(\d+)", lambda m: f"localhost:{self.ports[m[1]]}", text)
        text = re.sub(r"\b(6380|8000)\b", lambda m: str(self.ports[m[1]]), text)
        own = SERVICES[service].get("tmpfs", ["/tmp"])
        home = self.place / (f"home-of-{service}" if any("/farm/home" in mount for mount in own) else "home")
        places = {"/run/secrets": self.place / "secrets", "/etc/farm": self.place, "/farm/home": home}
        places |= {"/farm/cache": self.cache, "/farm/catalog": self.catalog, "/farm/store": self.place / "store"}
        for inside, outside in places.items():
            text = text.replace(inside, str(outside))
        return text

    def start(self, service: str, *more: str, user: str | None = None, name: str = "", **changes: str) -> None:
        """Start a service; its output goes to `<name>.log`. `changes` replace environment variables."""
        environment = {**self.environment(service), **changes}
        log = (self.place / f"{name or service}.log").open("wb")
        command = [*self.words(service), *more]
        command[0] = databases._program(command[0]) or command[0]
        command = [*MORTAL, *command]
        self.children.append(
            subprocess.Popen(
                command, env=environment, cwd="/", user=user, stdout=log, stderr=log, start_new_session=True
            )
        )

    def healthy(self, service: str) -> bool:
        _, *command = (self.here(word, service) for word in SERVICES[service]["healthcheck"]["test"])
        found = databases._program(command[0]) or shutil.which(command[0], path=self.environment(service)["PATH"])
        assert found is not None
        environment = {
            **self.environment(service),
            "PGHOST": str(self.place / "socket"),
            "PGPORT": str(self.ports["5432"]),
        }
        done = subprocess.run([found, *command[1:]], env=environment, capture_output=True, timeout=PATIENCE)
        return done.returncode == 0

    def wait(self, service: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.healthy(service):
            assert time.monotonic() < deadline, f"{service} is not healthy: {self.log(service)}"
            time.sleep(0.3)

    def log(self, name: str) -> str:
        return (self.place / f"{name}.log").read_text("utf-8", "replace")[-3000:]

    def run(self, *words: str, service: str = "farm") -> subprocess.CompletedProcess[str]:
        """A command as `docker compose run` would give it to a service."""
        environment = self.environment(service)
        return subprocess.run(words, env=environment, cwd=self.place, capture_output=True, text=True, timeout=600)

    def stop(self) -> list[int]:
        """End all, those that ask first; their exit codes. Nothing of them is left."""
        codes = []
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                codes.append(child.wait(timeout=PATIENCE))
            except subprocess.TimeoutExpired:
                codes.append(-signal.SIGKILL)
            finally:
                kill_group(child)
                child.wait()
        self.children.clear()
        return codes


def kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def bare(place: Path, cache: Path, catalog: Path) -> Iterator[Bare]:
    """The servers of compose.yaml, healthy, with TLS and certificates as there; stopped whatever happens."""
    made = Bare(place=place, cache=cache, catalog=catalog)
    for folder in ("home", "store"):
        (place / folder).mkdir()
    subprocess.run([sys.executable, ROOT / "scripts/fleet_secrets.py", place / "secrets"], check=True, timeout=60)
    try:
        made.start("redis")
        _start_postgres(made)
        made.wait("redis")
        yield made
    finally:
        made.stop()


def _start_postgres(made: Bare) -> None:
    """Under another user if this one is root, who may then read what the service is given, and nothing else."""
    user = databases._ordinary_user() if os.geteuid() == 0 else None
    (made.place / "pg_hba.conf").write_text(COMPOSE["configs"]["pg_hba"]["content"])
    data, sockets = made.place / "data", made.place / "socket"
    data.mkdir(mode=0o700)
    sockets.mkdir()
    if user is not None:
        account = pwd.getpwnam(user)
        made.place.chmod(0o755)
        (made.place / "secrets").chmod(0o711)
        (made.place / "secrets" / "ca").chmod(0o644)
        for name in (data, sockets, made.place / "pg_hba.conf", *(made.place / "secrets").glob("postgres_*")):
            os.chown(name, account.pw_uid, account.pw_gid)
    names: Mapping[str, str] = SERVICES["postgres"]["environment"]
    databases._run("initdb", "-D", str(data), "-A", "trust", "-U", names["POSTGRES_USER"], "--no-sync", "-E", "UTF8")
    port = str(made.ports["5432"])
    more = ["-D", str(data), "-p", port, "-c", "listen_addresses=localhost", "-c", f"unix_socket_directories={sockets}"]
    made.start("postgres", *more, user=user)
    made.wait("postgres")
    databases._run("createdb", "-h", str(sockets), "-p", port, "-U", names["POSTGRES_USER"], names["POSTGRES_DB"])
