"""A GitHub for tests: answers as its REST API does, and refuses every request that does not fit the API's description.

What is checked of each request, from GitHub's published OpenAPI description (github/rest-api-description, API version
2022-11-28; operations repos/get, pulls/list, pulls/create, pulls/update, issues/add-labels, issues/list-comments,
issues/create-comment): that the method and path exist; the headers Accept, X-GitHub-Api-Version, User-Agent and
Authorization; that query parameters are known, of the right type, and within limits (per_page up to 100; state, sort
and direction of their enumerations; head as USER:BRANCH); that a body is sent where one is required, as JSON, with the
required fields, of the right types, and (stricter than GitHub) with no field that the description does not name.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

TOKEN = "secret-token-1234"
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "string", "pattern": r"^\d+$"}
_PAGES = {"per_page": {"type": "string", "pattern": r"^([1-9]\d?|100)$"}, "page": _COUNT}


def _object(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


_PULLS_QUERY = _object(
    state={"enum": ["open", "closed", "all"]},
    head={"type": "string", "pattern": "^[^:]+:.+$"},
    base=_TEXT,
    sort={"enum": ["created", "updated", "popularity", "long-running"]},
    direction={"enum": ["asc", "desc"]},
    **_PAGES,
)
_PULL_CREATE = _object(
    ("head", "base", "title"),  # title unless an issue is named, which the farm never does
    title=_TEXT,
    head=_TEXT,
    head_repo=_TEXT,
    base=_TEXT,
    body=_TEXT,
    maintainer_can_modify=_FLAG,
    draft=_FLAG,
    issue={"type": "integer"},
)
_PULL_UPDATE = _object(
    title=_TEXT, body=_TEXT, state={"enum": ["open", "closed"]}, base=_TEXT, maintainer_can_modify=_FLAG
)
_LABELS = _object(labels={"type": "array", "minItems": 1, "items": _TEXT})
_COMMENT = _object(("body",), body=_TEXT)
_COMMENTS_QUERY = _object(since=_TEXT, **_PAGES)
_NONE = _object()
# method, path, query, body (None: must be empty)
OPERATIONS: tuple[tuple[str, str, Any, Any], ...] = (
    ("GET", r"/repos/(?P<repo>[^/]+/[^/]+)", _NONE, None),
    ("GET", r"/repos/(?P<repo>[^/]+/[^/]+)/pulls", _PULLS_QUERY, None),
    ("POST", r"/repos/(?P<repo>[^/]+/[^/]+)/pulls", _NONE, _PULL_CREATE),
    ("PATCH", r"/repos/(?P<repo>[^/]+/[^/]+)/pulls/(?P<number>\d+)", _NONE, _PULL_UPDATE),
    ("POST", r"/repos/(?P<repo>[^/]+/[^/]+)/issues/(?P<number>\d+)/labels", _NONE, _LABELS),
    ("GET", r"/repos/(?P<repo>[^/]+/[^/]+)/issues/(?P<number>\d+)/comments", _COMMENTS_QUERY, None),
    ("POST", r"/repos/(?P<repo>[^/]+/[^/]+)/issues/(?P<number>\d+)/comments", _NONE, _COMMENT),
)

Answer = tuple[int, Any, dict[str, str]]
Trouble = Callable[["FakeGitHub", str, str], Answer | None]


class FakeGitHub:
    """The state of one repository. `trouble` may answer in place of it, once for each entry; `faults` are requests that
    do not fit the API's description: a test ends with none."""

    def __init__(self, repository: str = "owner/catalog", page_size: int = 100) -> None:
        self.repository = repository
        self.page_size = page_size
        self.pulls: list[dict[str, Any]] = []
        self.comments: dict[int, list[str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.trouble: list[Trouble | Answer] = []
        self.url = ""

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        parts = urlsplit(target)
        self.requests.append((method, parts.path))
        if self.trouble:
            item = self.trouble.pop(0)
            said = item(self, method, target) if callable(item) else item
            if said is not None:
                return said
        for known, path, query, schema in OPERATIONS:
            match = re.fullmatch(path, parts.path)
            if known == method and match:
                self._check(f"{method} {target}", headers, parts.query, query, body, schema)
                if match["repo"] != self.repository:
                    return 404, {"message": "Not Found"}, {}
                if headers.get("Authorization") != f"Bearer {TOKEN}":
                    return 401, {"message": "Bad credentials"}, {}
                data = json.loads(body) if body else {}
                groups = match.groupdict()
                return self._do(method, parts.path, dict(parse_qsl(parts.query)), int(groups.get("number") or 0), data)
        self.faults.append(f"{method} {target}: no such operation")
        return 404, {"message": "Not Found"}, {}

    def _check(self, where: str, headers: Any, query: str, query_schema: Any, body: bytes, schema: Any) -> None:
        wanted = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        self.faults += [f"{where}: header {n} is {headers.get(n)!r}" for n, v in wanted.items() if headers.get(n) != v]
        if not headers.get("User-Agent"):
            self.faults.append(f"{where}: no User-Agent")
        if not (headers.get("Authorization") or "").startswith("Bearer "):
            self.faults.append(f"{where}: no bearer token")
        self._validate(where, dict(parse_qsl(query, strict_parsing=bool(query))), query_schema)
        if (schema is None) != (not body):
            self.faults.append(f"{where}: body is {body!r}")
        elif body:
            if headers.get("Content-Type") != "application/json":
                self.faults.append(f"{where}: Content-Type is {headers.get('Content-Type')!r}")
            self._validate(where, json.loads(body), schema)

    def _validate(self, where: str, data: Any, schema: Any) -> None:
        validator = jsonschema.Draft202012Validator(schema)
        self.faults += [f"{where}: {error.message}" for error in validator.iter_errors(data)]

    def _do(self, method: str, path: str, query: dict[str, str], number: int, data: dict[str, Any]) -> Answer:
        kind = path.rpartition("/")[2]
        if kind == "comments":
            if method == "POST":
                self.comments.setdefault(number, []).append(data["body"])
                return 201, {"id": 1, "body": data["body"]}, {}
            return self._page(path, query, [{"body": text} for text in self.comments.get(number, [])])
        if kind == "labels":
            pull = self.pulls[number - 1]
            pull["labels"] += [{"name": name} for name in data["labels"]]
            return 200, pull["labels"], {}
        if kind == "pulls":
            return self._create(data) if method == "POST" else self._page(path, query, self._listed(query))
        if method == "PATCH":
            self.pulls[number - 1].update(data)
            return 200, self.pulls[number - 1], {}
        return 200, {"full_name": self.repository, "default_branch": "main"}, {}

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        branch = query.get("head", ":").partition(":")[2]
        state = query.get("state", "open")
        found = [p for p in self.pulls if branch in ("", p["head"]["ref"]) and state in ("all", p["state"])]
        return found[::-1] if query.get("direction") == "desc" else found

    def _create(self, data: dict[str, Any]) -> Answer:
        if any(p["head"]["ref"] == data["head"] and p["state"] == "open" for p in self.pulls):
            said = f"A pull request already exists for owner:{data['head']}."
            errors = [{"resource": "PullRequest", "code": "custom", "message": said}]
            return 422, {"message": "Validation Failed", "errors": errors}, {}
        number = len(self.pulls) + 1
        self.pulls.append(
            {
                "number": number,
                "html_url": f"https://forge.invalid/{self.repository}/pull/{number}",
                "title": data["title"],
                "body": data.get("body"),
                "state": "open",
                "merged_at": None,
                "labels": [],
                "head": {"ref": data["head"]},
                "base": {"ref": data["base"]},
            }
        )
        return 201, self.pulls[-1], {}

    def _page(self, path: str, query: dict[str, str], items: list[Any]) -> Answer:
        size, page = min(int(query.get("per_page", 30)), self.page_size), int(query.get("page", 1))
        more = len(items) > size * page
        words = "&".join(f"{k}={v}" for k, v in {**query, "page": str(page + 1)}.items())
        link = {"Link": f'<{self.url}{path}?{words}>; rel="next", <{self.url}{path}>; rel="first"'} if more else {}
        return 200, items[size * (page - 1) : size * page], link


@contextmanager
def serve_github(fake: FakeGitHub) -> Iterator[str]:
    """The fake behind a web server; gives its address. Fails at the end if a request did not fit the description."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, data, headers = fake.answer(self.command, self.path, self.headers, body)
            content = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        fake.url = f"http://127.0.0.1:{httpd.server_port}"
        yield fake.url
        httpd.shutdown()
    assert fake.faults == []
