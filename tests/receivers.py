"""Receivers of messages on free ports: a web server and a mail server. Not a test module."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CERT = Path(__file__).parent / "data/notify/cert.pem"
KEY = Path(__file__).parent / "data/notify/key.pem"


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    return context


@dataclass
class Hook:
    """A web server that takes POSTs. `answers` are given one after the other, then 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def types(self) -> list[str]:
        return [document["type"] for document in self.documents]


@contextmanager
def hook(*, secure: bool = False) -> Iterator[Hook]:
    it = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with it.lock:
                answer = it.answers.pop(0) if it.answers else 204
                if answer == 204:
                    it.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(answer)
            text = b"no: token=tell-nobody" if answer >= 400 else b""
            self.send_header("content-length", str(len(text)))
            if 300 <= answer < 400:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if secure:
        server.socket = tls().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    it.url = f"{'https' if secure else 'http'}://127.0.0.1:{server.server_port}/farm"
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A mail server. `refuses` are addresses that it does not take."""

    port: int = 0
    refuses: set[str] = field(default_factory=set)
    got: list[tuple[list[str], Message]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        assert isinstance(envelope.content, bytes)
        self.encrypted.append(session.ssl is not None)
        self.got.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 taken"

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"open sesame", handled=False)


@contextmanager
def mailbox(security: str, *, login: bool = False) -> Iterator[Mailbox]:
    it = Mailbox()
    options: dict[str, Any] = {"require_starttls": security == "starttls", "auth_required": login}
    options |= {"tls_context": tls()} if security == "starttls" else {}
    options |= {"ssl_context": tls()} if security == "tls" else {}
    if login:
        options |= {"authenticator": it.check, "auth_require_tls": security == "starttls"}
    server = Controller(it, hostname="127.0.0.1", port=_free_port(), **options)
    server.start()
    it.port = server.port
    try:
        yield it
    finally:
        server.stop()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
