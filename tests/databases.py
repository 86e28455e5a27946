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
def postgresql(*, durable: bool = False) -> Iterator[str]:
    """A server of our own on a Unix socket; gives the URL of its database. Unless `durable`, it does not wait for the
    disk."""
    with tempfile.TemporaryDirectory(prefix="farm-pg-") as name:
        place = Path(name)  # not pytest's directory: that is closed to the user the server runs as
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ordinary_user())
            os.chown(place, account.pw_uid, account.pw_gid)
        _run("initdb", "-D", str(place / "data"), "-A", "trust", "-U", "farm", "--no-sync", "-E", "UTF8")
        sync = "on" if durable else "off"
        options = f"-c listen_addresses='' -c unix_socket_directories='{place}' -c fsync={sync}"
        _run("pg_ctl", "-D", str(place / "data"), "-w", "-l", str(place / "log"), "-o", options, "start")
        try:
            yield f"postgresql://farm@/postgres?host={place}"
        finally:
            _run("pg_ctl", "-D", str(place / "data"), "-m", "immediate", "-w", "stop")


def restart(url: str) -> None:
    """Restart the server as an administrator would, cutting every connection."""
    place = Path(url.partition("host=")[2])
    _run("pg_ctl", "-D", str(place / "data"), "-m", "fast", "-w", "-l", str(place / "log"), "restart")


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


def _run(program: str, *arguments: str) -> None:
    found = _program(program)
    assert found is not None
    user = _ordinary_user() if os.geteuid() == 0 else None
    with tempfile.TemporaryFile() as output:  # a pipe would be kept open by the server that pg_ctl starts
        done = subprocess.run(
            [found, *arguments], user=user, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", check=False
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode()
