"""A mirror that gives more than a location allows: refused by its announcement or while it comes; nothing is kept."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm.errors import FarmError
from farm.fetch import download
from farm.fetch.limit import Limit, TooLargeError
from farm.fetch.obtain import obtain
from farm.model.recipe_source import MAX_MB, Location

MB = 1_000_000
SMALL = b"x" * MB
SHA = hashlib.sha256(SMALL).hexdigest()


class Mirror(BaseHTTPRequestHandler):
    """/small is right; /announced says that it is larger; /endless says nothing of its size and does not end."""

    def do_GET(self) -> None:
        self.send_response(200)
        sizes = {"/small": MB, "/announced": 3 * MB}
        if self.path in sizes:
            self.send_header("Content-Length", str(sizes[self.path]))
        self.end_headers()
        try:
            while self.path == "/endless":
                self.wfile.write(SMALL)
            self.wfile.write(b"x" * sizes[self.path])
        except ConnectionError:
            return

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize("what", ["announced", "endless"])
def test_more_than_the_limit_is_refused_and_not_kept(tmp_path: Path, mirror: str, what: str) -> None:
    location = Location(url=f"{mirror}/{what}", sha256=SHA, max_mb=2)
    with pytest.raises(TooLargeError) as caught:
        obtain([location, Location(url=f"{mirror}/small", sha256=SHA)], tmp_path, tmp_path / "downloads")
    for part in (f"{mirror}/{what}", "2 MB", "max_mb"):
        assert part in str(caught.value)
    assert files(tmp_path / "downloads") == []


def test_a_part_of_before_that_is_too_large_goes(tmp_path: Path, mirror: str) -> None:
    (tmp_path / SHA).mkdir()
    (tmp_path / SHA / ".endless.part").write_bytes(SMALL * 3)
    with pytest.raises(TooLargeError):
        download.fetch(f"{mirror}/endless", SHA, "endless", tmp_path, limit=Limit(mb=2))
    assert files(tmp_path) == []


def test_the_limit_itself_is_allowed(tmp_path: Path, mirror: str) -> None:
    location = Location(url=f"{mirror}/small", sha256=SHA, max_mb=1)
    assert obtain([location], tmp_path, tmp_path / "downloads").read_bytes() == SMALL


def test_a_file_whose_hash_nobody_knows_has_a_limit_too(tmp_path: Path, mirror: str) -> None:
    with pytest.raises(FarmError, match="larger than 2 MB"):
        download.fetch_new(f"{mirror}/endless", "gmp.tar.xz", tmp_path, limit=Limit(mb=2))
    assert files(tmp_path) == []


def test_what_is_made_of_locations_keeps_its_digest() -> None:
    """Test Pythons are named by a digest of what their file says: the default limit is no part of it."""
    plain = {"url": "https://example.org/a.tar.xz", "sha256": SHA}
    assert Location.model_validate(plain).model_dump(mode="json") == plain
    assert Location(**plain, max_mb=MAX_MB).model_dump(mode="json") == plain
    limited = Location(**plain, max_mb=7)
    assert Location(**limited.model_dump()) == limited
