"""A door between programs and a server that can be closed as a network is cut: nothing comes through, nobody is told.
It counts what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

_PIECE = 1 << 16


class Proxy:
    """Forwards connections to a server: an address, or the path of a Unix socket. `sent` and `received` are bytes
    from and to those who connected."""

    def __init__(self, to: tuple[str, int] | str) -> None:
        self._to = to
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self.sent = self.received = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """From now on nothing comes through; connections stay as they are, new ones get no answer."""
        self._open.clear()

    def mend(self) -> None:
        """What waited comes through."""
        self._open.set()

    def close(self) -> None:
        """Every connection ends."""
        self._open.set()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        with self._lock:
            for one in self._connections:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            if isinstance(self._to, str):
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._to)
            else:
                server = socket.create_connection(self._to)
        except OSError:
            client.close()
            return
        with self._lock:
            self._connections += [client, server]
        threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
        self._forward(server, client, False)

    def _forward(self, source: socket.socket, target: socket.socket, out: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._open.wait()
                target.sendall(piece)
                with self._lock:
                    self.sent += len(piece) if out else 0
                    self.received += 0 if out else len(piece)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxy(to: tuple[str, int] | str) -> Iterator[Proxy]:
    """A door that is gone in the end."""
    made = Proxy(to)
    try:
        yield made
    finally:
        made.close()


def of_postgresql(url: str) -> str:
    """Where the server of `databases.postgresql` listens."""
    return f"{url.partition('host=')[2]}/.s.PGSQL.5432"


def through(door: Proxy, url: str) -> str:
    """The URL of such a server's database through a door."""
    name = url.partition("@/")[2].partition("?")[0]
    return f"postgresql://farm@127.0.0.1:{door.port}/{name}?sslmode=disable"
