"""GitHub's REST API, version 2022-11-28: pull requests, labels and comments of one repository."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from farm.errors import ForgeError, UsageError
from farm.forge.base import PullRequest, PullState
from farm.forge.wire import Wire, message

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_REPOSITORY = re.compile(r"(?!\.+/)[\w.-]+/(?!\.+$)[\w.-]+")


class GitHub:
    """A repository, ``owner/name``, on GitHub or a server with its API."""

    def __init__(self, wire: Wire, repository: str) -> None:
        """Raises UsageError for what is no ``owner/name``."""
        if not _REPOSITORY.fullmatch(repository):
            raise UsageError(f"{repository!r} is not OWNER/NAME", where="--repository", fix="as in its address")
        self._wire = wire
        self._owner = repository.partition("/")[0]
        self._path = f"/repos/{quote(repository)}"

    def default_branch(self) -> str:
        """The branch that changes go to."""
        return str(_field(self._wire.request("GET", self._path).data, "default_branch", str))

    def find(self, branch: str) -> PullRequest | None:
        """The newest pull request from a branch of this repository, whatever became of it."""
        asked: dict[str, str | int] = {"head": f"{self._owner}:{branch}", "state": "all", "sort": "created"}
        asked |= {"direction": "desc"}
        for item in self._wire.pages(f"{self._path}/pulls", asked):
            # A server that does not know `head` would list every pull request.
            if isinstance(item, Mapping) and _field(item.get("head"), "ref", str) == branch:
                return _pull(item)
        return None

    def create(self, *, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open one, or give the one that is open already: a try whose answer was lost may have opened it."""
        reply = self._wire.request(
            "POST",
            f"{self._path}/pulls",
            json={"title": title, "head": branch, "base": base, "body": body, "maintainer_can_modify": True},
            accepted=(422,),
        )
        if reply.status != 422:
            return _pull(reply.data)
        found = self.find(branch) if "already exists" in message(reply.data) else None
        if found is None or found.state is not PullState.OPEN:
            raise ForgeError(
                f"{self._path}: a pull request from {branch} to {base} is refused: {message(reply.data)}",
                fix="are both branches there, and do they differ?",
            )
        return found

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """Change what it says."""
        path = f"{self._path}/pulls/{number}"
        return _pull(self._wire.request("PATCH", path, json={"title": title, "body": body}).data)

    def label(self, number: int, labels: Sequence[str]) -> None:
        """Add labels; those that it has stay, those that the repository lacks are made."""
        self._wire.request("POST", f"{self._path}/issues/{number}/labels", json={"labels": list(labels)})

    def comment(self, number: int, text: str) -> None:
        """Say something, once."""
        path = f"{self._path}/issues/{number}/comments"
        for item in self._wire.pages(path, {}):
            if isinstance(item, Mapping) and str(item.get("body") or "").strip() == text.strip():
                return
        self._wire.request("POST", path, json={"body": text}, once=True)


def _pull(data: Any) -> PullRequest:
    state = str(_field(data, "state", str))
    merged = bool(data.get("merged_at"))
    labels = _field(data, "labels", list) if data.get("labels") else []
    body = _field(data, "body", str) if data.get("body") else ""
    return PullRequest(
        number=_field(data, "number", int),
        url=_field(data, "html_url", str),
        title=_field(data, "title", str),
        body=body.replace("\r\n", "\n"),
        labels=tuple(str(_field(label, "name", str)) for label in labels),
        state=PullState.MERGED if merged else PullState.OPEN if state == "open" else PullState.CLOSED,
    )


def _field(data: Any, name: str, kind: type) -> Any:
    if not isinstance(data, Mapping) or not isinstance(data.get(name), kind):
        raise ForgeError(
            f"the forge's answer has no {kind.__name__} {name!r}", fix="is FARM_FORGE_API the API of GitHub?"
        )
    return data[name]
