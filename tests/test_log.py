"""The log: every line knows what it speaks of, programs can read it, and nobody reads a secret in it."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import small_farm
from cascades import FakeHands, chain, fresh
from hypothesis import given
from hypothesis import strategies as st
from plans import PLATFORM, make_plan

from farm import log, redact
from farm.cascade.advance import Advance
from farm.cli import log_options
from farm.errors import BuildError, CatalogError, StoreError, UsageError
from farm.model.artifact import Artifact
from farm.model.plan import Step
from farm.process import Cancel
from farm.workers.step import StepCancel, StepRunner

GMP = "gmp@6.3.0/win_amd64"
FIELDS = ["time", "level", "logger", "step", "cascade", "platform", "host", "pid", "thread", "message"]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger("farm")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "propagate", False)  # libraries add handlers of their own above
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(redact, "_named", set())


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged since, each line a JSON object."""
    log.configure(verbose=False, form="json")
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_line_says_what_it_speaks_of(lines: Lines) -> None:
    before = datetime.now(UTC)
    logging.getLogger("farm.any").warning("no mirror\nanswers")
    with log.about(cascade=7), log.about(step=GMP):
        logging.getLogger("farm.any").info("it %s", "goes on")
    bare, inside = lines()
    assert list(bare) == FIELDS
    assert (bare["step"], bare["cascade"], bare["platform"]) == (None, None, None)
    assert (bare["level"], bare["message"]) == ("warning", "no mirror\nanswers")
    assert (bare["host"], bare["pid"]) == (socket.gethostname(), os.getpid())
    assert abs((datetime.fromisoformat(bare["time"]) - before).total_seconds()) < 60
    assert bare["time"].endswith("Z")
    assert (inside["step"], inside["cascade"], inside["platform"]) == (GMP, 7, "win_amd64")
    assert inside["message"] == "it goes on"


def test_threads_speak_for_themselves(lines: Lines) -> None:
    def work() -> None:
        with log.about(step="mpfr@4.2/win32", cascade=2):
            logging.getLogger("farm.any").info("here")

    with log.about(step=GMP):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        logging.getLogger("farm.any").info("there")
    assert [(line["step"], line["cascade"]) for line in lines()] == [("mpfr@4.2/win32", 2), (GMP, None)]


def test_errors_have_fields(lines: Lines) -> None:
    error = StoreError("no answer", where="postgresql://farm:hunter22@db/farm", fix="start it")
    log.happened("failed: no answer", error=error, seconds=1.5, message="not this")
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError:
        logging.getLogger("farm.any").exception("a bug")
    ours, bug = lines()
    assert (ours["message"], ours["seconds"]) == ("failed: no answer", 1.5)
    assert ours["error"] == {
        "type": "StoreError", "kind": "store", "exit_code": 9, "what": "no answer",
        "where": "postgresql://farm:***@db/farm", "fix": "start it",
    }  # fmt: skip
    assert (bug["error"]["type"], bug["error"]["what"]) == ("ZeroDivisionError", "oh")
    assert "test_errors_have_fields" in bug["error"]["traceback"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(verbose=False)
    log.happened("built")
    logging.getLogger("farm.any").debug("not now")
    with log.about(step=GMP):
        logging.getLogger("farm.any").warning("tries again")
    with log.about(cascade=3):
        logging.getLogger("farm.any").info("staging")
    assert capsys.readouterr().err == f"W {GMP}: tries again\nI cascade 3: staging\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://farm:pa55@db:5432/x", "postgresql://farm:***@db:5432/x"),
        ("redis://:pa55@cache/0", "redis://:***@cache/0"),
        ("amqp://u:p@ss:w@host/", "amqp://u:***@host/"),
        ("//farm:pa55@db is no URL", "//farm:***@db is no URL"),
        ("https://sometoken@example.org/x.git", "https://***@example.org/x.git"),
        ("GET https://h/x?token=abc&page=2", "GET https://h/x?token=***&page=2"),
        ("https://h/x?X-Amz-Signature=deadbeef&a=1", "https://h/x?X-Amz-Signature=***&a=1"),
        ("connection failed: host=db password='a b' user=x", "connection failed: host=db password=*** user=x"),
        ('{"client_secret": "abc", "id": 1}', '{"client_secret": "***", "id": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("bearer 0123456789abcdef0123", "bearer ***"),
        ("see ghp_0123456789abcdefABCDEF", "see ***"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "***"),
        ("a -----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY----- b", "a *** b"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact.redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/gmp-6.3.0.tar.xz",
        "git@github.com:owner/name.git",
        "ssh://git@example.org/x",
        "postgresql://farm@/postgres?host=/tmp/x",
        "gmp@6.3.0/manylinux_2_17_x86_64: key=0123456789abcdef",
        "the build key of basic understanding: 12:30 // a comment: x",
        "monkey=banana keys=3 turkey: 'x'",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact.redact(text) == text


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact.redact(text)
    assert redact.redact(once) == once


def test_named_secrets_and_those_of_the_environment_are_hidden(lines: Lines) -> None:
    redact.hide("correct horse", "abc")
    redact.hide_environment(
        {"CHAT_TOKEN": "tok-123", "PGPASSWORD": "open sesame", "PATH": "/usr/bin", "MY_KEYS": "keys-1"}
    )
    logging.getLogger("farm.any").info(
        "correct horse abc tok-123 open sesame /usr/bin keys-1", extra={"fields": {"a": ["tok-123"]}}
    )
    (line,) = lines()
    assert line["message"] == "*** abc *** *** /usr/bin keys-1"
    assert line["a"] == ["***"]


def test_errors_hold_no_secret() -> None:
    address = "https://u:pa55@h/x"
    for error in (
        UsageError(f"{address!r} is wrong", where=address, fix=f"ask {address}"),
        CatalogError([f"recipe: {address}"]),
        BuildError("x", tail=[address]),
    ):
        assert "pa55" not in f"{error}{error.args}{vars(error)}"


@pytest.mark.parametrize(
    ("argv", "environ", "form", "rest"),
    [
        (["plan"], {}, "text", ["plan"]),
        (["plan"], {"FARM_LOG_FORMAT": "json"}, "json", ["plan"]),
        (["--log-format", "text", "plan"], {"FARM_LOG_FORMAT": "json"}, "text", ["plan"]),
        (["cascade", "advance", "--log-format=json", "7"], {}, "json", ["cascade", "advance", "7"]),
        (
            ["shell", "gmp", "--", "x", "--log-format", "y"],
            {},
            "text",
            ["shell", "gmp", "--", "x", "--log-format", "y"],
        ),
    ],
)
def test_the_option_stands_anywhere(argv: list[str], environ: dict[str, str], form: str, rest: list[str]) -> None:
    assert log_options.taken(argv, environ) == (form, rest)


@pytest.mark.parametrize(
    ("argv", "environ"), [(["--log-format"], {}), (["--log-format=xml"], {}), ([], {"FARM_LOG_FORMAT": "x"})]
)
def test_other_forms_are_refused(argv: list[str], environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="say text or json"):
        log_options.taken(argv, environ)


def test_a_command_that_fails_says_so_in_json(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    done = small_farm.farm(catalog, "cascade", "show", "7", "--log-format", "json")
    assert done.returncode == 2
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert list(line) == [*FIELDS, "error"]
    assert (line["level"], line["message"]) == ("error", "there is no cascade 7")
    assert (line["error"]["kind"], line["error"]["exit_code"]) == ("usage", 2)
    assert line["error"]["fix"] == "`farm cascade list` shows them"


def test_a_bug_is_shown_without_secrets() -> None:
    code = (
        "from farm import log\nlog.configure(verbose=False, form={form!r})\n"
        "raise ZeroDivisionError('postgresql://u:pa55@h/x')"
    )
    for form in ("text", "json"):
        done = subprocess.run([sys.executable, "-c", code.format(form=form)], capture_output=True, text=True)
        assert done.returncode == 1
        assert "ZeroDivisionError" in done.stderr
        assert "postgresql://u:***@h/x" in re.sub(r"raise .*", "", done.stderr)
        assert form == "text" or json.loads(done.stderr)["level"] == "critical"


def test_a_cascade_and_its_steps_are_on_every_line(lines: Lines) -> None:
    with fresh() as ledger:
        cascade = ledger.create_cascade(chain("gmp", "mpfr"))
        hands = FakeHands({f"build mpfr@1.0/{PLATFORM}": ["fail"]})
        hands.during = lambda _task: logging.getLogger("farm.any").info("inside")
        Advance(cascade, ledger=ledger, hands=hands, jobs=2).to_the_end()
    said = lines()
    assert {line["cascade"] for line in said} == {cascade.id}
    assert {line["platform"] for line in said} == {PLATFORM}
    inside = [line["step"] for line in said if line["message"] == "inside"]
    assert sorted(inside) == [f"gmp@1.0/{PLATFORM}"] * 2 + [f"mpfr@1.0/{PLATFORM}"]
    ended = {(line["message"], line["step"].partition("@")[0]) for line in said if line["logger"] == "farm.happened"}
    assert ended == {("build passed", "gmp"), ("test passed", "gmp"), ("build failed", "mpfr")}


def test_a_build_says_its_phases_and_its_end(lines: Lines, tmp_path: Path) -> None:
    def build(step: Step, deps: object, cancel: object, report: Callable[[str], None]) -> Artifact:
        report("configure")
        logging.getLogger("farm.any").warning("slow")
        raise BuildError("make failed", where=step.id, fix="mend it")

    (step,) = make_plan({"gmp": ()}).steps
    with fresh() as ledger:
        ledger.record_plan([step])
        runner = StepRunner(build, ledger, tmp_path, lambda _event: None)
        runner.run(step, {}, StepCancel(Cancel()))
    begins, slow, end = lines()
    assert {line["step"] for line in (begins, slow, end)} == {step.id}
    assert (begins["message"], begins["phase"]) == ("begins configure", "configure")
    assert end["message"] == f"failed: {step.id}: make failed"
    assert (end["state"], end["phase"], end["error"]["kind"]) == ("failed", "configure", "build")
    assert end["seconds"] >= 0
