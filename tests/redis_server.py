"""A real Redis server for tests, on a free port, in a directory of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: it dies with the thread that started it, even if that is killed."""


def why_no_redis() -> str:
    """Why no Redis server can be started here; empty if one can."""
    return "" if shutil.which("redis-server") else "the program redis-server is not on this machine"


class Redis:
    """A server that can be stopped, wiped and started again at the same address. It keeps nothing."""

    def __init__(self, place: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._place = place
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [*MORTAL, "redis-server"]
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._place]
        self._child = subprocess.Popen([*words, *options], stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        """As a crash does: with it goes all that it held."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


@contextmanager
def redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="farm-redis-") as place:
        server = Redis(place)
        server.start()
        try:
            yield server
        finally:
            server.stop()
