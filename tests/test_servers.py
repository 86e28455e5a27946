"""The servers that tests start: they are gone when whoever started them is, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from databases import why_no_postgresql
from redis_server import why_no_redis

CODE = """
import time
from databases import postgresql, restart
from redis_server import redis
with redis() as server, postgresql() as url:
    restart(url)
    place = url.partition("host=")[2]
    print(place, server._child.pid, open(f"{place}/data/postmaster.pid").readline().strip(), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(bool(why_no_postgresql() or why_no_redis()), reason=why_no_postgresql() or why_no_redis() or "-")
def test_servers_die_with_whoever_started_them() -> None:
    command = [sys.executable, "-c", CODE]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert child.stdout is not None
    place, *pids = child.stdout.readline().split()
    assert len(pids) == 2
    assert all(lives(int(pid)) for pid in pids)
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 60
    while any(lives(int(pid)) for pid in pids) or Path(place).exists():
        assert time.monotonic() < deadline, f"{pids} {place}"
        time.sleep(0.1)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False
