"""A small web server for the static index: enough for one machine or a local network, with PEP 691 content negotiation.

Real deployments let a web server or a CDN serve the same directory (docs/index.md holds the nginx configuration).
"""

from __future__ import annotations

import errno
import html
import logging
import os
import re
import socket
import stat
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from farm.index.simple import HTML_TYPE, JSON_TYPE

_log = logging.getLogger(__name__)
_PAGE = re.compile(
    r"/(?P<channel>[a-z][a-z0-9-]*)(?P<number>@\d{1,12})?/simple/(?:(?P<project>[A-Za-z0-9][A-Za-z0-9._-]*)/)?"
)
_EXPLICIT = re.compile(_PAGE.pattern + r"index\.(?P<kind>html|json)")
_FILE = re.compile(r"/files/[0-9a-f]{2}/[0-9a-f]{64}/[A-Za-z0-9][A-Za-z0-9._!+~-]*\.whl(\.metadata)?")
# What a shared store over HTTP is made of (docs/stores.md); pins and half-written files are nobody's business.
_STORED = re.compile(
    r"/store/(?P<name>farm-store\.json|(keys/[0-9a-f]{2}/[0-9a-f]{64}\.json)"
    r"|logs/[0-9a-f]{2}/[0-9a-f]{64}/[A-Za-z0-9][A-Za-z0-9._-]*\.json"
    r"|(?P<blob>blobs/[0-9a-f]{2}/[0-9a-f]{64}/[A-Za-z0-9_][A-Za-z0-9._!+~-]*))"
)
_FOREVER = "public, max-age=31536000, immutable"
_RECHECK = "public, max-age=0, must-revalidate"  # channels move; ETags make the check cheap
_HTML_NAMES = {HTML_TYPE, "application/vnd.pypi.simple.latest+html", "text/html"}
_JSON_NAMES = {JSON_TYPE, "application/vnd.pypi.simple.latest+json"}


class IndexServer(ThreadingHTTPServer):
    """Serves the index below `root`, and as ``/store/`` the store in `store`, if one is given.

    `address` is (host, port); port 0 takes a free one, see `url`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, address: tuple[str, int], *, store: Path | None = None) -> None:
        self.root = root
        self.store = store
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the standard library's
        """A reader that went away is no error of the server's; anything else goes into the log."""
        error = sys.exc_info()[1]
        level = logging.DEBUG if isinstance(error, ConnectionError | TimeoutError) else logging.ERROR
        _log.log(level, "request of %s", client_address, exc_info=error)

    @property
    def url(self) -> str:
        """The address of the server's root, without a slash at its end."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def negotiate(accept: str) -> str | None:
    """``html`` or ``json`` for an Accept header, None if it takes neither. Among equals the first named wins."""
    best: tuple[float, str] | None = None
    for part in (accept or "*/*").lower().split(","):
        name, _, parameters = part.strip().partition(";")
        quality = _quality(parameters)
        name = name.strip()
        kind = "json" if name in _JSON_NAMES else "html" if name in _HTML_NAMES | {"*/*", "text/*"} else None
        if kind and quality > 0 and (best is None or quality > best[0]):
            best = (quality, kind)
    return best[1] if best else None


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "farm"
    sys_version = ""
    timeout = 60
    server: IndexServer

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        _log.debug("%s %s", self.address_string(), format % args)

    def _serve(self, *, body: bool) -> None:
        try:
            path = unquote(urlsplit(self.path).path)
        except ValueError:  # http://[
            self._fail(HTTPStatus.BAD_REQUEST)
            return
        if _FILE.fullmatch(path):
            kind = "text/plain; charset=utf-8" if path.endswith(".metadata") else "application/octet-stream"
            self._send(path, kind, _FOREVER, body=body)
        elif found := _EXPLICIT.fullmatch(path):
            self._send(path, HTML_TYPE if found["kind"] == "html" else JSON_TYPE, _caching(found), body=body)
        elif found := _PAGE.fullmatch(path):
            self._page(path, found, body=body)
        elif _PAGE.fullmatch(path + "/"):
            self._redirect(path + "/")
        elif self.server.store is not None and (found := _STORED.fullmatch(path)):
            kind = "application/octet-stream" if found["blob"] else "application/json"
            caching = _FOREVER if found["blob"] else _RECHECK
            self._send(found["name"], kind, caching, body=body, root=self.server.store)
        elif path == "/":
            self._channels(body=body)
        else:
            self._fail(HTTPStatus.NOT_FOUND)

    def _page(self, path: str, found: re.Match[str], *, body: bool) -> None:
        project = found["project"]
        if project and project != canonicalize_name(project):
            self._redirect(path[: -len(project) - 1] + canonicalize_name(project) + "/")
            return
        kind = negotiate(",".join(self.headers.get_all("Accept", [])))
        if kind is None:
            self._fail(HTTPStatus.NOT_ACCEPTABLE)
            return
        name = JSON_TYPE if kind == "json" else "text/html; charset=utf-8"
        self._send(f"{path}index.{kind}", name, _caching(found), body=body)

    def _send(self, path: str, content_type: str, caching: str, *, body: bool, root: Path | None = None) -> None:
        """A file below the root, or another one. `path` matched one of the patterns, so it cannot leave it."""
        try:
            stream = _opened(f"{root or self.server.root}/{path.lstrip('/')}")
        except OSError:
            self._fail(HTTPStatus.NOT_FOUND)
            return
        with stream:
            facts = os.fstat(stream.fileno())
            tag = f'"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'
            fresh = tag in self.headers.get("If-None-Match", "")
            self.send_response(HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", caching)
            self.send_header("Vary", "Accept")
            self.send_header("X-Content-Type-Options", "nosniff")
            if not fresh:
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(facts.st_size))
            self.end_headers()
            if body and not fresh:
                self.wfile.flush()
                self.connection.sendfile(stream)

    def _redirect(self, path: str) -> None:
        self._short(HTTPStatus.MOVED_PERMANENTLY, b"", {"Location": path})

    def _fail(self, status: HTTPStatus) -> None:
        self._short(status, f"{status.value} {status.phrase}\n".encode(), {"Content-Type": "text/plain"})

    def _channels(self, *, body: bool) -> None:
        found = self.server.root.iterdir() if self.server.root.is_dir() else ()
        names = sorted(p.name for p in found if p.is_symlink() and not p.name.startswith("."))
        rows = "".join(f'<a href="{html.escape(name)}/simple/">{html.escape(name)}</a><br>\n' for name in names)
        page = f"<!DOCTYPE html>\n<title>Channels</title>\n{rows}".encode()
        self._short(HTTPStatus.OK, page if body else b"", {"Content-Type": "text/html; charset=utf-8"})

    def _short(self, status: HTTPStatus, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _opened(path: str) -> BinaryIO:
    """A regular file, to be read: a pipe would never answer, and a directory has nothing to say. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", path)
    return os.fdopen(handle, "rb")


def _caching(found: re.Match[str]) -> str:
    return _FOREVER if found["number"] else _RECHECK
