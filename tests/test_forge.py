"""Pull requests through GitHub's API, against a server that holds every request to its published description."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from fake_github import TOKEN, FakeGitHub, serve_github

from farm.errors import ForgeError, UsageError
from farm.forge.base import PullState
from farm.forge.github import HEADERS, GitHub
from farm.forge.propose import Outcome, Proposal, propose
from farm.forge.wire import Wire

NOW = 1_700_000_000.0
PROPOSAL = Proposal(branch="bump/gmp-6.4.0", base="main", title="gmp 6.4.0", body="Sources\n", labels=("bump",))


class Clock:
    """Waits without waiting."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    server = FakeGitHub()
    with serve_github(server):
        yield server


def client(fake: FakeGitHub, clock: Clock | None = None, token: str = TOKEN) -> GitHub:
    sleep = (clock or Clock()).sleep
    return GitHub(Wire(fake.url, token, HEADERS, sleep=sleep, now=lambda: NOW), fake.repository)


def limited(status: int, text: str = "", **headers: str) -> Any:
    return status, {"message": text}, {name.replace("_", "-"): value for name, value in headers.items()}


def test_a_pull_request_is_opened_once_and_kept_up_to_date(fake: FakeGitHub) -> None:
    forge = client(fake)
    assert forge.default_branch() == "main"
    pull, outcome = propose(forge, PROPOSAL)
    assert (pull.number, outcome, pull.state) == (1, Outcome.CREATED, PullState.OPEN)
    assert fake.pulls[0]["head"] == {"ref": "bump/gmp-6.4.0"}
    assert fake.pulls[0]["labels"] == [{"name": "bump"}]
    assert propose(forge, PROPOSAL)[1] is Outcome.UNCHANGED
    changed = Proposal(branch=PROPOSAL.branch, base="main", title="gmp 6.4.0", body="ABI: compatible\n", renewed="anew")
    assert propose(forge, changed)[1] is Outcome.UPDATED
    assert propose(forge, changed)[1] is Outcome.UNCHANGED
    assert fake.pulls[0]["body"] == "ABI: compatible\n"
    assert fake.comments == {1: ["anew"]}
    assert len(fake.pulls) == 1


def test_what_people_closed_stays_closed_and_what_was_merged_is_followed_by_another(fake: FakeGitHub) -> None:
    forge = client(fake)
    propose(forge, PROPOSAL)
    fake.pulls[0]["state"] = "closed"
    assert propose(forge, PROPOSAL)[1] is Outcome.DECLINED
    fake.pulls[0]["merged_at"] = "2024-01-01T00:00:00Z"
    pull, outcome = propose(forge, PROPOSAL)
    assert (pull.number, outcome) == (2, Outcome.CREATED)


def test_one_that_was_opened_in_this_moment_is_found(fake: FakeGitHub) -> None:
    forge = client(fake)

    def lost(server: FakeGitHub, _method: str, _target: str) -> Any:
        """The pull request is made, and the answer is lost."""
        server._create({"title": "gmp 6.4.0", "head": PROPOSAL.branch, "base": "main", "body": "Sources\n"})
        return limited(502)

    fake.trouble = [lost]
    pull = forge.create(branch=PROPOSAL.branch, base="main", title="gmp 6.4.0", body="Sources\n")
    assert pull.number == 1
    assert len(fake.pulls) == 1


def test_lists_are_read_to_their_end(fake: FakeGitHub) -> None:
    fake.page_size = 2
    forge = client(fake)
    propose(forge, PROPOSAL)
    fake.comments[1] = [f"comment {n}" for n in range(7)]
    forge.comment(1, "comment 6")
    assert len(fake.comments[1]) == 7, "it was on the fourth page"
    forge.comment(1, "comment 7")
    assert fake.comments[1][-1] == "comment 7"


@pytest.mark.parametrize(
    ("trouble", "low", "high"),
    [
        ([limited(502), limited(503)], [1, 2], [1.5, 3]),
        ([limited(500, "oops")], [1], [1.5]),
        ([limited(403, "You have exceeded a secondary rate limit", retry_after="7")], [7], [7]),
        ([limited(403, "You have exceeded a secondary rate limit. Wait a few minutes.")] * 2, [60, 120], [60, 120]),
        ([limited(429, "slow down")], [60], [60]),
        (
            [limited(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset="1700000030")],
            [30],
            [30],
        ),
    ],
    ids=["5xx", "500", "retry-after", "secondary", "429", "primary"],
)
def test_a_busy_forge_is_waited_for(fake: FakeGitHub, trouble: list[Any], low: list[float], high: list[float]) -> None:
    clock = Clock()
    fake.trouble = list(trouble)
    assert client(fake, clock).default_branch() == "main"
    assert len(clock.slept) == len(low)
    assert all(a <= slept <= b for a, slept, b in zip(low, clock.slept, high, strict=True)), clock.slept


def test_patience_has_an_end(fake: FakeGitHub) -> None:
    clock = Clock()
    fake.trouble = [limited(503, "down")] * 9
    with pytest.raises(ForgeError, match=r"503 Service Unavailable: down \(5 times\)"):
        client(fake, clock).default_branch()
    assert len(clock.slept) == 4
    fake.trouble = [limited(403, "limit", x_ratelimit_remaining="0", x_ratelimit_reset="1700003600")]
    with pytest.raises(ForgeError, match=r"it wants 3600 s of patience"):
        client(fake, clock).default_branch()
    assert len(clock.slept) == 4, "an hour is for whoever runs the farm"


def test_a_comment_whose_answer_was_lost_is_not_made_twice(fake: FakeGitHub) -> None:
    forge = client(fake)
    propose(forge, PROPOSAL)

    def lost(server: FakeGitHub, _method: str, _target: str) -> Any:
        server.comments[1] = ["anew"]
        return limited(502)

    fake.trouble = [lambda *_: None, lost]
    with pytest.raises(ForgeError, match="502"):
        forge.comment(1, "anew")
    forge.comment(1, "anew")
    assert fake.comments[1] == ["anew"]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            limited(401, "Bad credentials"),
            "401 Unauthorized: Bad credentials\n  fix: the token is wrong or has expired",
        ),
        (limited(403, "Resource not accessible"), "not accessible\n  fix: the token lacks a permission"),
        (
            limited(404, "Not Found"),
            "Not Found\n  fix: the repository is called otherwise, or the token does not see it",
        ),
        (limited(418), "418"),
        ((200, b"<html>", {}), "answered no JSON"),
        ((200, b"[" * 200_000, {}), "answered no JSON"),
        ((200, b"1" * 20_000_000, {}), "answers with more than 16777216 bytes"),
        ((200, {"id": 1}, {}), "the forge's answer has no str 'default_branch'"),
        ((200, [1], {}), "the forge's answer has no str 'default_branch'"),
        ((302, b"", {"Location": "http://127.0.0.2:9/elsewhere"}), "leads to another server, 127.0.0.2"),
    ],
)
def test_what_no_patience_mends_is_said_at_once(fake: FakeGitHub, trouble: Any, said: str) -> None:
    clock = Clock()
    fake.trouble = [trouble]
    with pytest.raises(ForgeError) as caught:
        client(fake, clock).default_branch()
    assert said in str(caught.value)
    assert clock.slept == []


def test_an_answer_that_is_not_packed_as_it_says_is_one_that_did_not_come(fake: FakeGitHub) -> None:
    broken = (200, b"no gzip", {"Content-Encoding": "gzip"})
    fake.trouble = [broken]
    assert client(fake).default_branch() == "main"
    fake.trouble = [broken] * 5
    with pytest.raises(ForgeError, match=r"does not answer: .*\(5 times\)"):
        client(fake).default_branch()


def test_an_answer_in_drops_is_not_waited_for(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.forge.answer.PATIENCE_SECONDS", -1.0)
    with pytest.raises(ForgeError, match="takes longer than"):
        client(fake).default_branch()


def test_a_list_without_end_is_no_list(fake: FakeGitHub) -> None:
    def endless(server: FakeGitHub, _method: str, _target: str) -> Any:
        server.trouble.append(endless)
        return 200, [], {"Link": f'<{server.url}/repos/{server.repository}/pulls?page=2>; rel="next"'}

    fake.trouble = [endless]
    with pytest.raises(ForgeError, match="more than 500 pages"):
        client(fake).find("bump/gmp-6.4.0")


@pytest.mark.parametrize(("field", "value"), [("body", 5), ("labels", {"name": "x"}), ("labels", 3), ("labels", [3])])
def test_a_pull_request_of_other_kinds_of_values_is_none(fake: FakeGitHub, field: str, value: Any) -> None:
    propose(client(fake), PROPOSAL)
    fake.pulls[0][field] = value
    with pytest.raises(ForgeError, match="the forge's answer has no"):
        client(fake).find(PROPOSAL.branch)


def test_a_refused_pull_request_says_why(fake: FakeGitHub) -> None:
    errors = [
        {"resource": "PullRequest", "field": "base", "code": "invalid"},
        {"message": "No commits between a and b"},
    ]
    fake.trouble = [(422, {"message": "Validation Failed", "errors": errors}, {})]
    with pytest.raises(ForgeError, match="Validation Failed; invalid; No commits between a and b"):
        client(fake).create(branch="b", base="a", title="t", body="")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_repository_that_was_renamed_is_followed_with_the_same_method(fake: FakeGitHub, status: int) -> None:
    moved = (status, {"message": "Moved"}, {"Location": f"{fake.url}/repos/owner/catalog/pulls"})
    fake.trouble = [moved]
    forge = GitHub(Wire(fake.url, TOKEN, HEADERS, sleep=Clock().sleep), "owner/old-name")
    assert forge.create(branch="b", base="main", title="t", body="x").number == 1
    assert [method for method, _ in fake.requests] == ["POST", "POST"]
    fake.trouble = [(status, {}, {"Location": f"{fake.url}/repos/owner/catalog"})] * 9
    with pytest.raises(ForgeError, match="leads in a ring"):
        client(fake).default_branch()


def test_nobody_is_told_the_token(fake: FakeGitHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    fake.trouble = [limited(400, f"bad header: Bearer {TOKEN}")]
    with pytest.raises(ForgeError) as caught:
        client(fake).default_branch()
    assert "***" in str(caught.value)
    dead = Wire("http://127.0.0.1:9", TOKEN, HEADERS, sleep=Clock().sleep)
    with pytest.raises(ForgeError, match="does not answer") as silent:
        dead.request("GET", "/x")
    for error in (caught.value, silent.value):
        assert TOKEN not in "".join(traceback.format_exception(error))
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(dead)
    with pytest.raises(UsageError, match="is no https:// address"):
        Wire("http://forge.invalid/api", TOKEN, HEADERS)


@pytest.mark.parametrize("name", ["", "owner", "owner/a/b", "owner/a?x=1", "../.."])
def test_a_repository_is_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="is not OWNER/NAME"):
        GitHub(Wire("http://127.0.0.1:9", TOKEN, HEADERS), name)
