"""Real databases for tests: SQLite files, and a PostgreSQL server that the test starts."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def why_no_postgresql() -> str:
    """Why no PostgreSQL server can be started here; empty if one can."""
    for program in ("initdb", "pg_ctl"):
        if _program(program) is None:
            return f"the program {program} is not on this machine"
    if importlib.util.find_spec("psycopg") is None:
        return "the psycopg driver is not installed: pip install 'psycopg[binary]'"
    if os.geteuid() == 0 and not _ordinary_user():
        return "PostgreSQL refuses to run as root and there is no other user"
    return ""


@contextmanager
def postgresql(*, durable: bool = False, connections: int = 100) -> Iterator[str]:
    """A server of our own on a Unix socket; gives the URL of its database. Unless `durable`, it does not wait for the
    disk. `connections` is how many clients it takes; PostgreSQL's own default is 100."""
    with tempfile.TemporaryDirectory(prefix="farm-pg-") as name:
        place = Path(name)  # not pytest's directory: that is closed to the user the server runs as
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ordinary_user())
            os.chown(place, account.pw_uid, account.pw_gid)
        _run("initdb", "-D", str(place / "data"), "-A", "trust", "-U", "farm", "--no-sync", "-E", "UTF8")
        sync = "on" if durable else "off"
        options = f"-c listen_addresses='' -c unix_socket_directories='{place}' -c fsync={sync}"
        options += f" -c max_connections={connections}"
        _run("pg_ctl", "-D", str(place / "data"), "-w", "-l", str(place / "log"), "-o", options, "start")
        try:
            with _ended_with_us(place):
                yield f"postgresql://farm@/postgres?host={place}"
        finally:
            _run("pg_ctl", "-D", str(place / "data"), "-m", "immediate", "-w", "stop")


@contextmanager
def _ended_with_us(place: Path) -> Iterator[None]:
    """If this process is killed, the server is stopped and its directory removed. The server is no child of ours
    (`pg_ctl` starts it, restarts too), so somebody waits for the end of a pipe that only we hold."""
    after = 'read -r word; test "$word" = over || { "$0" -D "$1/data" -m immediate -w stop; rm -rf "$1"; }'
    command = ["sh", "-c", after, str(_program("pg_ctl")), str(place)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", user=_user(), start_new_session=True
    ) as watch:
        try:
            yield
        finally:
            watch.communicate(b"over\n")


def restart(url: str, *, how: str = "fast") -> None:
    """Restart the server as an administrator would, cutting every connection; `how` ``immediate``: as a crash does."""
    place = Path(url.partition("host=")[2])
    _run("pg_ctl", "-D", str(place / "data"), "-m", how, "-w", "-l", str(place / "log"), "restart")


def named(url: str, name: str) -> str:
    """The URL of another database of the server."""
    return url.replace("/postgres?", f"/{name}?")


def copied(url: str, name: str, of: str = "template1") -> str:
    """A new database of the server, a copy of one that nobody has open. Returns its URL."""
    dropped(url, name)
    with _administrator(url) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{of}"')
    return named(url, name)


def dropped(url: str, name: str) -> None:
    """Remove a database, whoever has it open."""
    with _administrator(url) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administrator(url: str) -> Any:
    import psycopg

    return psycopg.connect(url, autocommit=True)


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        found = next((str(p) for p in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    return found


def _ordinary_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return ""


def _user() -> str | None:
    """Whom the server runs as, if not as ourselves."""
    return _ordinary_user() if os.geteuid() == 0 else None


def _run(program: str, *arguments: str) -> None:
    found = _program(program)
    assert found is not None
    with tempfile.TemporaryFile() as output:  # a pipe would be kept open by the server that pg_ctl starts
        words, quiet = [found, *arguments], subprocess.DEVNULL
        done = subprocess.run(words, user=_user(), stdin=quiet, stdout=output, stderr=output, cwd="/", check=False)
        output.seek(0)
        assert done.returncode == 0, output.read().decode()
