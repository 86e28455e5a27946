"""A store that a web server hands out: the farm's own, and that of the standard library."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from plans import digest

from farm.errors import StoreError, UnavailableError
from farm.index.serve import IndexServer
from farm.store.artifacts import Store
from farm.store.remote import layout
from farm.store.remote.address import parse
from farm.store.remote.http import HttpRemote
from farm.store.remote.patient import Patient
from farm.store.shared import Shared

KEY = digest("key")
NAME = "native_gmp-10!6.3.0-py3-none-any.whl"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def plain(folder: Path) -> Iterator[str]:
    """A static server that knows nothing of farms."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    with _served(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def own(folder: Path) -> Iterator[str]:
    """`farm index serve --with-store`."""
    server = IndexServer(folder.parent / "index", ("127.0.0.1", 0), store=folder)
    with _served(server):
        yield f"{server.url}/store"


def shared(url: str) -> Shared:
    return Shared(Patient(HttpRemote(parse(url)), pauses=(1,), sleep=lambda _seconds: None))


def wheel(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "dist" / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("server", [plain, own])
def test_a_served_store_is_read_and_never_written(tmp_path: Path, server: Callable[[Path], Iterator[str]]) -> None:
    source = Store(tmp_path / "home" / "store")
    artifact = source.put(KEY, wheel(tmp_path, b"content" * 1000))
    with server(source.root) as url:  # type: ignore[attr-defined]
        other = Store(tmp_path / "other", shared=shared(url))
        assert other.get(digest("none")) is None
        assert other.known([KEY, digest("none")]) == {KEY: artifact}
        assert other.get(KEY) == artifact
        assert other.open(artifact).read() == b"content" * 1000
        own_key = digest("own")
        kept = other.put(own_key, wheel(tmp_path, b"own"))
        assert other.get(own_key) == kept
        assert source.get(own_key) is None
        with pytest.raises(StoreError, match="only read"):
            shared(url).publish(kept, other.path(kept))


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_is_not_handed_out(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    source = Store(tmp_path / "store")
    artifact = source.put(KEY, wheel(tmp_path, b"content"))
    source.path(artifact).chmod(0o644)
    if damage == "gone":
        source.path(artifact).unlink()
    else:
        source.path(artifact).write_bytes(b"CONTENT" if damage == "changed" else b"cont")
    with plain(source.root) as url, caplog.at_level(logging.WARNING):
        other = Store(tmp_path / "other", shared=shared(url))
        assert other.get(KEY) is None
        assert "counts as not built" in caplog.text
        assert other.put(KEY, wheel(tmp_path, b"content")) == artifact


def test_an_address_where_no_store_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with plain(tmp_path / "empty") as url, pytest.raises(StoreError, match=layout.MARKER):
        shared(f"{url}/store").find(KEY)
    with pytest.raises(UnavailableError):
        shared(url).find(KEY)


def replying(answer: Callable[[httpx.Request], httpx.Response]) -> HttpRemote:
    """A remote whose server is a function."""
    remote = HttpRemote(parse("https://farm.example/store"))
    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
    remote._made = (os.getpid(), client)
    return remote


def test_a_server_without_end_is_not_listened_to_for_ever() -> None:
    given = itertools.count()

    def without_end() -> Iterator[bytes]:
        while next(given) < 1000:
            yield b" " * 100_000

    remote = replying(lambda _request: httpx.Response(200, content=without_end()))
    with pytest.raises(StoreError, match="larger than any record"):
        remote.read(layout.MARKER)
    assert next(given) < 100


def test_a_server_that_sends_more_than_a_wheel_fills_no_disk(tmp_path: Path) -> None:
    given = itertools.count()

    def without_end() -> Iterator[bytes]:
        while next(given) < 1000:
            yield b"x" * 1_000_000

    remote = replying(lambda _request: httpx.Response(200, content=without_end()))
    assert remote.download(layout.MARKER, tmp_path / "kept", most=3_000_000)
    assert 3_000_000 < (tmp_path / "kept").stat().st_size < 6_000_000
    assert next(given) < 10


def test_no_step_of_the_way_is_plain() -> None:
    """Who sits between could lead a plain step to a server of their own, which has a certificate, too."""
    ways = {"/store/x": "http://farm.example/y", "/y": "https://elsewhere.example/z"}

    def answer(request: httpx.Request) -> httpx.Response:
        to = ways.get(request.url.path)
        return httpx.Response(302, headers={"location": to}) if to else httpx.Response(200, content=b"evil")

    with pytest.raises(StoreError, match="leads to a plain connection"):
        replying(answer).read("x")


@pytest.mark.parametrize("stamp", ["", "yesterday", "Mon, 99 Nov 2026 25:00:00 GMT"])
def test_headers_of_strange_servers_are_no_facts(stamp: str) -> None:
    found = replying(lambda _: httpx.Response(200, headers={"last-modified": stamp, "content-length": "many"})).look(
        "x"
    )
    assert found is not None
    assert (found.size, found.modified) == (0, 0.0)


def test_only_the_store_is_handed_out(tmp_path: Path) -> None:
    """Pins, half-written files and what is beside the store stay where they are."""
    source = Store(tmp_path / "home" / "store")
    artifact = source.put(KEY, wheel(tmp_path, b"content"))
    (tmp_path / "home" / "secret").write_text("hunter2")
    (source.root / "tmp" / "half").write_text("half")
    shutil.copy(source.path(artifact), source.root / "blobs" / "stray.whl")
    with source.pinned([KEY]), own(source.root) as url:
        pin = next((source.root / "pins").iterdir()).name
        for path in ("../secret", "%2e%2e/secret", "tmp/half", f"pins/{pin}", "blobs/stray.whl", "keys/", ".lock"):
            assert httpx.get(f"{url}/{path}").status_code == 404, path
        assert httpx.get(f"{url}/{layout.record(KEY)}").json()["sha256"] == artifact.sha256
    server = IndexServer(tmp_path / "home" / "index", ("127.0.0.1", 0))
    with _served(server):
        assert httpx.get(f"{server.url}/store/{layout.record(KEY)}").status_code == 404, "only if asked for"


def test_clients_and_disks_that_misbehave_are_no_errors_of_the_server(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody who leaves in the middle, a directory or a pipe where a file should be, an index that is not there."""
    source = Store(tmp_path / "home" / "store")
    blob = source.path(source.put(KEY, wheel(tmp_path, b"content" * 1_000_000)))
    (blob.parent / "directory").mkdir()
    os.mkfifo(blob.parent / "pipe")
    with own(source.root) as url:
        place = f"{url}/{blob.relative_to(source.root)}"
        for name in ("directory", "pipe"):
            assert httpx.get(f"{place.rpartition('/')[0]}/{name}", timeout=10).status_code == 404
        host, port = urlsplit(url).hostname, urlsplit(url).port
        for _ in range(3):
            with socket.create_connection((host, port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no goodbye
                client.sendall(f"GET {urlsplit(place).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 5)
        assert httpx.get(url.removesuffix("store")).status_code == 200
    assert "Traceback" not in capfd.readouterr().err
