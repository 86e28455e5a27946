"""A shared store in a bucket of a real server that speaks S3, behind a line that can break."""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from plans import digest
from s3_server import BUCKET, SECRET, credentials, s3

from farm.errors import StoreError, UnavailableError, UsageError
from farm.store.artifacts import Store
from farm.store.collect import Rules, collect
from farm.store.guard import LEAST_GRACE
from farm.store.pointers import Conflict
from farm.store.remote import layout
from farm.store.remote.address import connect, parse
from farm.store.remote.patient import Patient
from farm.store.remote.s3 import S3Remote
from farm.store.remote.s3_errors import translated
from farm.store.shared import Shared

KEY = digest("key")
NAME = "native_gmp-10!6.3.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3() as url:
        yield url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials(monkeypatch, tmp_path)


def remote(endpoint: str, prefix: str, bucket: str = BUCKET) -> S3Remote:
    return S3Remote(parse(f"s3://{bucket}/{prefix}?endpoint={endpoint}&region=us-east-1"))


def impatient(inner: S3Remote, pauses: tuple[float, ...] = ()) -> Shared:
    return Shared(Patient(inner, pauses=pauses, sleep=lambda _seconds: None))


def wheel(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "dist" / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


class Line:
    """A proxy that can cut answers short, drop requests, say that the server is busy and lose headers."""

    def __init__(self, target: str) -> None:  # noqa: C901 - the handler is part of it
        self.cut = self.busy = self.drop = 0
        self.lose = ""
        self.seen: list[str] = []
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                line.seen.append(f"{self.command} {self.path}")
                if line.busy:
                    line.busy -= 1
                    self._answer(503, b"<Error><Code>SlowDown</Code></Error>", {})
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", line.lose)}
                headers.setdefault("Content-Type", "application/octet-stream")  # urllib says that it is a form
                request = urllib.request.Request(target + self.path, body or None, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request) as reply:
                        status, content, found = reply.status, reply.read(), dict(reply.headers)
                except HTTPError as error:
                    status, content, found = error.code, error.read(), dict(error.headers)
                if line.drop:  # it was done, but nobody hears of it
                    line.drop -= 1
                    self.close_connection = True
                    return
                self._answer(status, content, found)

            def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if line.cut and self.command == "GET" and len(content) > 1000:
                    line.cut -= 1
                    content = content[:500]
                    self.close_connection = True
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - names of http.server

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def line(endpoint: str) -> Iterator[Line]:
    found = Line(endpoint)
    yield found
    found.close()


def test_machines_share_a_bucket(tmp_path: Path, endpoint: str) -> None:
    told: list[Conflict] = []
    mine = Store(tmp_path / "mine", shared=impatient(remote(endpoint, "two/levels")))
    other = Store(tmp_path / "other", shared=impatient(remote(endpoint, "two/levels")), on_conflict=told.append)
    assert other.get(KEY) is None
    artifact = mine.put(KEY, wheel(tmp_path, b"content" * 1000))
    assert other.known([KEY]) == {KEY: artifact}
    assert other.get(KEY) == artifact
    assert other.open(artifact).read() == b"content" * 1000
    second = digest("second")
    first = mine.put(second, wheel(tmp_path, b"first"))
    assert other.put(second, wheel(tmp_path, b"another")) == first
    assert [conflict.kept for conflict in told] == [first]
    names = {entry.name for entry in remote(endpoint, "two/levels").entries(layout.KEYS)}
    assert names == {layout.record(KEY), layout.record(second)}
    assert not list(remote(endpoint, "two").entries(layout.KEYS)), "prefixes do not see each other"


def test_who_only_reads_changes_nothing(tmp_path: Path, endpoint: str) -> None:
    place = remote(endpoint, "readonly")
    artifact = Store(tmp_path / "mine", shared=impatient(place)).put(KEY, wheel(tmp_path, b"content"))
    before = {entry.name: entry for entry in place.entries("")}
    address = f"s3://{BUCKET}/readonly?endpoint={endpoint}&region=us-east-1&readonly=yes"
    reader = Store(tmp_path / "reader", shared=Shared(connect(address)))
    with reader.pinned([KEY, digest("own")]):
        assert reader.get(KEY) == artifact
        own = reader.put(digest("own"), wheel(tmp_path, b"own"))
        assert reader.get(digest("own")) == own
    assert {entry.name: entry for entry in place.entries("")} == before


def test_of_many_writers_one_creates(endpoint: str) -> None:
    made: list[bool] = []
    place = remote(endpoint, "race")
    threads = [threading.Thread(target=lambda: made.append(place.create("keys/x", b"1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_a_line_that_breaks_is_tried_again(tmp_path: Path, endpoint: str, line: Line) -> None:
    content = os.urandom(5000)
    artifact = Store(tmp_path / "mine", shared=impatient(remote(endpoint, "breaks"))).put(KEY, wheel(tmp_path, content))
    reader = Store(tmp_path / "other", shared=impatient(remote(line.url, "breaks"), (1, 1)))
    line.cut = 2
    line.busy = 2
    assert reader.get(KEY) == artifact
    assert reader.open(artifact).read() == content
    assert line.cut == line.busy == 0
    line.drop = 1
    other = digest("lost answers")
    assert reader.put(other, wheel(tmp_path, b"new")).key == other
    assert Store(tmp_path / "third", shared=impatient(remote(endpoint, "breaks"))).get(other) is not None
    line.busy = 10
    with pytest.raises(UnavailableError, match="SlowDown"):
        reader.get(digest("nothing"))


def test_a_lost_answer_to_a_publication_is_no_conflict(tmp_path: Path, line: Line) -> None:
    told: list[Conflict] = []
    store = Store(tmp_path / "mine", shared=impatient(remote(line.url, "lost"), (1,)), on_conflict=told.append)
    store.put(digest("first"), wheel(tmp_path, b"first"))
    real = line.seen

    class Watched(list[str]):
        """Loses the answer to the request that makes a record."""

        def append(self, request: str) -> None:
            line.drop = int(request.startswith("PUT") and "/keys/" in request and not self)
            if line.drop:
                super().append(request)

    line.seen = Watched()
    artifact = store.put(KEY, wheel(tmp_path, b"content"))
    assert len(line.seen) == 1
    line.seen = real
    assert store.get(KEY) == artifact
    assert not told


def test_a_service_without_conditional_writes_is_refused(tmp_path: Path, line: Line) -> None:
    line.lose = "if-none-match"
    store = Store(tmp_path / "mine", shared=impatient(remote(line.url, "careless")))
    with pytest.raises(StoreError, match="ignores `If-None-Match"):
        store.put(KEY, wheel(tmp_path, b"content"))
    assert store.known([KEY]), "it is kept at home"


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_is_not_handed_out(tmp_path: Path, endpoint: str, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    place = remote(endpoint, f"damage-{damage}")
    artifact = Store(tmp_path / "mine", shared=impatient(place)).put(KEY, wheel(tmp_path, b"content"))
    blob = layout.blob(artifact.sha256, NAME)
    place.remove(blob)
    if damage != "gone":
        place.write(blob, b"CONTENT" if damage == "changed" else b"cont")
    other = Store(tmp_path / "other", shared=impatient(place))
    with caplog.at_level(logging.WARNING):
        assert other.get(KEY) is None
    assert "counts as not built" in caplog.text
    assert other.put(KEY, wheel(tmp_path, b"content")) == artifact
    assert Store(tmp_path / "third", shared=impatient(place)).get(KEY) == artifact


def test_what_nothing_needs_is_marked_and_goes(tmp_path: Path, endpoint: str) -> None:
    place = remote(endpoint, "collected")
    store = Store(tmp_path / "mine", shared=impatient(place))
    needed, spare = digest("needed"), digest("spare")
    store.put(needed, wheel(tmp_path, b"needed"))
    store.put(spare, wheel(tmp_path, b"spare"))
    rules = Rules(keys={needed}, sha256=(), keep_days=0, grace=LEAST_GRACE)
    assert collect(impatient(place), rules, dry_run=False).waiting == 2
    marks = json.loads(place.read(layout.MARKS) or b"")
    place.write(layout.MARKS, json.dumps({name: since - 2 * LEAST_GRACE for name, since in marks.items()}).encode())
    assert len(collect(impatient(place), rules, dry_run=False).removals) == 2
    other = Store(tmp_path / "other", shared=impatient(place))
    assert other.get(spare) is None
    assert other.get(needed) is not None


def test_a_child_process_asks_by_itself(tmp_path: Path, endpoint: str) -> None:
    place = remote(endpoint, "fork")
    place.write("keys/x", b"1")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if place.read("keys/x") == b"1" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_missing_is_said_with_its_fix(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="no such bucket") as raised:
        impatient(remote(endpoint, "x", bucket="other-bucket")).find(KEY)
    assert "create the bucket" in raised.value.fix
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreError, match="no credentials") as raised:
        impatient(remote(endpoint, "x")).find(KEY)
    assert "AWS_PROFILE" in raised.value.fix
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDFARM")
    with pytest.raises(UnavailableError, match="does not answer"):
        impatient(remote("http://127.0.0.1:9", "x")).find(KEY)


def test_credentials_that_are_refused_are_not_repeated(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    def require_keys(count: str) -> None:
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset-auth", count.encode(), headers))

    require_keys("0")
    try:
        with pytest.raises(StoreError, match="does not know the access key") as raised:
            impatient(remote(endpoint, "x")).find(KEY)
    finally:
        require_keys("inf")
    assert "AWS_ACCESS_KEY_ID" in raised.value.fix
    said = f"{raised.value}{raised.value.__cause__}{caplog.text}"
    assert SECRET not in said
    assert "AKIDFARM" not in said


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("AccessDenied", 403, StoreError, "lack a permission"),
        ("SignatureDoesNotMatch", 403, StoreError, "secret key"),
        ("ExpiredToken", 400, StoreError, "expired"),
        ("RequestTimeTooSkewed", 403, StoreError, "clocks"),
        ("NotImplemented", 501, StoreError, "conditional"),
        ("SlowDown", 503, UnavailableError, "SlowDown"),
        ("ConditionalRequestConflict", 409, UnavailableError, "Conflict"),
        ("Whatever", 500, UnavailableError, "Whatever"),
        ("Whatever", 400, StoreError, "refuses"),
    ],
)
def test_what_services_refuse(code: str, status: int, kind: type[StoreError], said: str) -> None:
    from botocore.exceptions import ClientError

    answer: Any = {"Error": {"Code": code, "Message": SECRET}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = translated(ClientError(answer, "PutObject"), "writing x", "s3://b/p")
    assert type(error) is kind
    assert said in str(error)
    assert SECRET not in str(error)
    assert isinstance(error, UnavailableError) == bool(getattr(error, "retryable", False))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://bucket/prefix?secret=hunter2", "option 'secret'"),
        ("s3://bucket/p?endpoint=http://10.0.0.1:9000", "plain connection"),
        ("s3://bucket/p?endpoint=https://user:hunter2@host", "credentials"),
        ("s3://bucket/p?endpoint=hunter2", "names no server"),
        ("http://10.0.0.1/store", "plain connection"),
    ],
)
def test_addresses_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        connect(text)
    assert "hunter2" not in str(raised.value)


def test_a_plain_connection_inside_a_trusted_network() -> None:
    assert (
        connect("s3://bucket/p?endpoint=http://minio:9000&insecure=yes").id
        == "s3://bucket/p?endpoint=http://minio:9000"
    )
    assert connect("http://index:8000/store?insecure=yes").id == "http://index:8000/store"
