"""Telling people what happened: to real receivers, from real ledgers, whatever is killed or refused in between."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import standardwebhooks
from cascades import FakeHands, chain
from plans import PLATFORM, make_plan
from receivers import CERT, Hook, hook, mailbox
from test_ledger_database import emptied

from farm import redact
from farm.cascade.advance import Advance
from farm.cli import run
from farm.errors import CatalogError, NotifyError, UsageError
from farm.model.cascade import Cascade, CascadeState
from farm.model.happening import DeliveryState, Kind
from farm.model.outcome import Outcome
from farm.notify import config, message, outbox, webhook
from farm.store.database import now
from farm.store.ledger import Ledger

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PLAIN = "not-base64-at-all"
Write = Callable[..., config.Config]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path}/l.sqlite"
    with Ledger.open(url if request.param == "sqlite" else emptied(request.getfixturevalue("server"))) as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_SECRET", SECRET)
    monkeypatch.setenv("MAIL_PASSWORD", "open sesame")
    monkeypatch.setattr(redact, "_named", set())


@pytest.fixture
def chat() -> Iterator[Hook]:
    with hook() as it:
        yield it


def to(url: str, *, events: str = '["*"]', more: str = "", attempts: int = 3) -> config.Config:
    text = f'format = 1\nattempts = {attempts}\n[[webhook]]\nname = "chat"\nurl = "{url}"\nsecret = "env:CHAT_SECRET"\n'
    return config.parse(f"{text}events = {events}\n{more}".encode(), "notify.toml")


def listening(ledger: Ledger, loaded: config.Config) -> None:
    """The targets are known: what happens from now on is told."""
    assert outbox.send_due(ledger, loaded) == ()


def states(ledger: Ledger) -> list[str]:
    return [one.state.value for one in ledger.delivery_list(limit=100)]


def due_again(ledger: Ledger, not_before: int = 0) -> None:
    """As if every pause were over, or ended at a moment (milliseconds since 1970)."""
    from sqlalchemy import update

    from farm.store.observed_tables import deliveries

    with ledger.writing() as connection:
        connection.execute(update(deliveries).values(not_before=not_before))


def through_all(ledger: Ledger) -> Cascade:
    """A cascade that everything happens to."""
    first = ledger.create_cascade(chain("gmp", "mpfr"))
    hands = FakeHands({f"build mpfr@1.0/{PLATFORM}": ["fail"]})
    Advance(first, ledger=ledger, hands=hands).to_the_end()
    ledger.fence(first.id, ["mpfr"], now() + timedelta(days=9), "upstream is dead")
    move = ledger.move_cascade
    move(first.id, CascadeState.TESTING, of=[CascadeState.BLOCKED], note="")
    move(first.id, CascadeState.STAGED, of=[CascadeState.TESTING], staged=1, note="")
    move(first.id, CascadeState.STAGED, of=[CascadeState.STAGED], staged=2, note="")  # on what is served by now
    move(first.id, CascadeState.PROMOTED, of=[CascadeState.STAGED], promoted=4, note="")
    move(first.id, CascadeState.STAGED, of=[CascadeState.PROMOTED], promoted=0, note="rolled back from staging@000004")
    move(first.id, CascadeState.ABANDONED, of=[CascadeState.STAGED], note="it was a bad idea")
    return first


def test_a_cascade_is_told_from_beginning_to_end(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    through_all(ledger)
    told = outbox.send_due(ledger, loaded)
    assert [one.error for one in told] == [""] * 8
    assert chat.types == [
        "cascade.started", "cascade.failed", "cascade.waiting", "cascade.fenced", "cascade.staged", "cascade.promoted",
        "cascade.rolled-back", "cascade.abandoned",
    ]  # fmt: skip
    assert set(states(ledger)) == {"sent"}
    assert outbox.send_due(ledger, loaded) == (), "once"
    waiting = chat.documents[2]
    assert waiting["subject"] == "cascade 1 waits for you: a change"
    assert f"1 failed: build mpfr@1.0/{PLATFORM}" in waiting["text"]
    assert "farm cascade fence 1 RECIPE" in waiting["text"]
    assert waiting["data"]["cascade"]["id"] == 1
    assert "leaves out mpfr" in chat.documents[3]["subject"]
    assert "upstream is dead" in chat.documents[3]["text"]


def test_receivers_can_check_and_know_messages_again(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    chat.answers = [503]
    outbox.send_due(ledger, loaded)
    due_again(ledger)
    outbox.send_due(ledger, loaded)
    ((headers, body),) = chat.got
    receiver = standardwebhooks.Webhook(SECRET)
    assert receiver.verify(body, headers) == json.loads(body)
    assert headers["webhook-id"] == ledger.delivery_list(limit=1)[0].happening.uid == json.loads(body)["id"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver.verify(body.replace(b"begins", b"ended"), headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError, match="too old"):
        receiver.verify(body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 3600)})


def test_any_text_may_be_the_secret() -> None:
    signed = webhook.sign(PLAIN, "id", 1700000000, b"{}")
    assert signed == "v1,5VjmM8Lj17+dSDtwqkNDX4cFIMAhUIl+no8ww1FQR/o=", "as `openssl dgst -hmac` has it"
    with pytest.raises(ValueError, match="goes on in base64"):
        webhook.sign("whsec_***", "id", 1, b"")


def test_a_target_hears_what_it_wants_from_when_it_is_known(ledger: Ledger, chat: Hook) -> None:
    ledger.create_cascade(chain("before"))
    only_gates = to(chat.url, events='["gate.*", "cascade.promoted"]')
    listening(ledger, only_gates)
    through_all(ledger)
    outbox.send_due(ledger, only_gates)
    assert chat.types == ["cascade.promoted"]


def test_gate_failures_are_told_once_until_they_change(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    plan = make_plan({"gmp": ()})
    ledger.record_plan(plan.steps)
    key = plan.steps[0].key
    for outcome, reason in (
        (Outcome.FAILED, "1 error: libgmp.so: needs GLIBC_2.30"),
        (Outcome.FAILED, "1 error: libgmp.so: needs GLIBC_2.30"),
        (Outcome.PASSED, ""),
        (Outcome.FAILED, "1 error: libgmp.so: needs GLIBC_2.30"),
    ):
        ledger.record_verdict(key, "audit", outcome, reason=reason)
    ledger.record_verdict(key, "smoke", Outcome.FAILED, reason="it crashed")
    ledger.record_verdict(key, "upstream", Outcome.NOT_RUN, reason="no runner")
    outbox.send_due(ledger, loaded)
    assert chat.types == ["gate.failed", "gate.failed", "test.failed"]
    gate = chat.documents[0]
    assert gate["subject"] == f"{plan.steps[0].id}: a gate refuses it"
    assert "needs GLIBC_2.30" in gate["text"]
    assert f"farm shell {plan.steps[0].id}" in gate["text"]


def test_the_same_trouble_found_again_is_not_told_again(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url, events='["cascade.waiting"]')
    listening(ledger, loaded)
    id_ = ledger.create_cascade(chain("gmp")).id
    for note in ("not sound: a", "not sound: a", "not sound: b"):
        ledger.move_cascade(id_, CascadeState.TESTING, of=list(CascadeState), note="")
        ledger.move_cascade(id_, CascadeState.BLOCKED, of=list(CascadeState), note=note)
    outbox.send_due(ledger, loaded)
    assert [document["data"]["why"] for document in chat.documents] == ["not sound: a", "not sound: b"]


def test_what_fails_is_tried_again_with_the_same_words(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    cascade = ledger.create_cascade(chain("gmp", "mpfr"))
    ledger.move_cascade(cascade.id, CascadeState.STAGED, of=list(CascadeState), note="")
    chat.answers = [503]
    (failed,) = outbox.send_due(ledger, loaded)
    assert "answers 503" in failed.error
    assert "tell-nobody" not in failed.error
    assert not failed.is_last
    assert [one.delivery.happening.kind for one in outbox.send_due(ledger, loaded)] == [Kind.STAGED], "no hostages"
    first = ledger.delivery_list(limit=9)[-1]
    assert 59 < first.next_try <= 75
    body = first.body
    assert body is not None
    Advance(cascade, ledger=ledger, hands=FakeHands()).to_the_end()
    due_again(ledger)
    outbox.send_due(ledger, loaded)
    assert chat.types == ["cascade.staged", "cascade.started"]
    assert chat.documents[1] == body["document"]


def test_it_is_given_up_in_the_end_and_may_be_begun_anew(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url, attempts=2)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    chat.answers = [500, 500, 500]
    assert [one.is_last for one in outbox.send_due(ledger, loaded)] == [False]
    due_again(ledger)
    assert [one.is_last for one in outbox.send_due(ledger, loaded)] == [True]
    due_again(ledger)
    assert outbox.send_due(ledger, loaded) == ()
    assert ledger.delivery_counts() == {DeliveryState.WAITING: 0, DeliveryState.GIVEN_UP: 1}
    assert ledger.retry_deliveries("other") == 0
    assert ledger.retry_deliveries("chat") == 1
    outbox.send_due(ledger, loaded)
    due_again(ledger)
    outbox.send_due(ledger, loaded)
    assert states(ledger) == ["sent"]


@pytest.mark.parametrize(("answer", "told"), [(410, "answers 410"), (422, "answers 422"), (301, "it is elsewhere")])
def test_what_is_pointless_is_not_repeated(tmp_path: Path, chat: Hook, answer: int, told: str) -> None:
    loaded = to(chat.url)
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        listening(ledger, loaded)
        ledger.create_cascade(chain("gmp"))
        chat.answers = [answer]
        (one,) = outbox.send_due(ledger, loaded)
        assert told in one.error
        assert one.is_last == (answer != 301), "an address can be mended"


def test_a_silent_target_keeps_nobody_from_the_others(ledger: Ledger, chat: Hook) -> None:
    dead = '[[webhook]]\nname = "dead"\nurl = "http://127.0.0.1:9/x"\nsecret = "env:CHAT_SECRET"\n'
    lost = '[[webhook]]\nname = "lost"\nurl = "https://h/x"\nsecret = "env:NOT_SET"\n'
    loaded = to(chat.url, more=dead + lost)
    listening(ledger, loaded)
    through_all(ledger)
    told = outbox.send_due(ledger, loaded)
    assert len(chat.got) == 8
    failed = {one.delivery.target: one.error for one in told if one.error}
    assert set(failed) == {"dead", "lost"}
    assert "does not answer" in failed["dead"]
    assert "env:NOT_SET is empty" in failed["lost"]
    assert len(told) == 10, "one try each, not one for every message"


def test_much_that_one_target_does_not_take_keeps_nobody_from_the_others(
    tmp_path: Path, chat: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 5)  # instead of a ledger with hundreds of messages
    dead = '[[webhook]]\nname = "dead"\nurl = "http://127.0.0.1:9/x"\nsecret = "env:CHAT_SECRET"\n'
    only_dead = config.parse(f"format = 1\n{dead}events = ['*']".encode(), "notify.toml")
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        listening(ledger, to(chat.url, more=dead))
        for _ in range(6):
            ledger.create_cascade(chain("gmp"))
        ledger.route(["dead"], only_dead.wants)
        ledger.create_cascade(chain("mpfr"))
        told = outbox.send_due(ledger, to(chat.url, more=dead))
    assert [one.delivery.target for one in told] == ["dead", "chat"]
    assert chat.types == ["cascade.started"]


def test_a_target_that_was_removed_is_given_up(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    ledger.route(["chat"], loaded.wants)
    (one,) = outbox.send_due(ledger, config.parse(b"format = 1", "notify.toml"))
    assert one.is_last
    assert "no target 'chat' any more" in one.error


def test_killed_while_it_sends(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))

    class Killed(BaseException):
        pass

    def kill(target: object, what: object) -> None:
        raise Killed

    def late(target: config.Webhook | config.Email, what: message.Message) -> None:
        outbox.send(target, what)
        raise Killed

    for post in (kill, late):
        with pytest.raises(Killed):
            outbox.send_due(ledger, loaded, post=post)
        assert outbox.send_due(ledger, loaded) == (), "whoever has it may be sending it still"
        due_again(ledger)
    outbox.send_due(ledger, loaded)
    assert len(chat.got) == 2, "it cannot be known that it was taken"
    assert chat.got[0][0]["webhook-id"] == chat.got[1][0]["webhook-id"]
    assert chat.got[0][1] == chat.got[1][1]
    assert states(ledger) == ["sent"]


def test_who_stood_still_while_another_tried_decides_nothing(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    ledger.route(tuple(loaded.targets), loaded.wants)
    (first,) = ledger.due_deliveries(9)
    assert ledger.claim_delivery(first, {}, 60.0)
    due_again(ledger)
    (second,) = ledger.due_deliveries(9)
    assert ledger.claim_delivery(second, {}, 60.0)
    ledger.end_delivery(first, error="too late", is_last=True)
    assert states(ledger) == ["waiting"]
    ledger.end_delivery(second, error="refused", is_last=True)
    (found,) = ledger.delivery_list(limit=9)
    assert (found.state.value, found.error) == ("given up", "refused")


def test_a_clock_that_was_far_ahead_puts_nothing_off(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    ledger.route(tuple(loaded.targets), loaded.wants)
    hour = 3_600_000
    due_again(ledger, int(now().timestamp() * 1000) + 5 * hour)
    assert ledger.due_deliveries(9) == (), "no pause is longer than this"
    due_again(ledger, int(now().timestamp() * 1000) + 24 * hour)
    assert len(ledger.due_deliveries(9)) == 1


def test_many_senders_at_once_send_once(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    for number in range(6):
        ledger.create_cascade(chain(f"r{number}"))
    threads = [threading.Thread(target=outbox.send_due, args=(ledger, loaded)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.send_due(ledger, loaded)
    ids = [headers["webhook-id"] for headers, _ in chat.got]
    assert len(ids) == len(set(ids)) == 6


def test_what_is_not_committed_is_not_told(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    cascade = ledger.create_cascade(chain("gmp", "mpfr"))
    with pytest.raises(UsageError, match="cannot go on without gmp"):
        ledger.fence(cascade.id, ["gmp"], now() + timedelta(days=9), "no")
    assert not ledger.move_cascade(cascade.id, CascadeState.PROMOTED, of=[CascadeState.STAGED])
    outbox.send_due(ledger, loaded)
    assert chat.types == ["cascade.started"]


def test_old_news_is_removed_but_not_what_waits(ledger: Ledger, chat: Hook) -> None:
    loaded = to(chat.url)
    listening(ledger, loaded)
    ledger.create_cascade(chain("gmp"))
    ledger.route(["chat"], loaded.wants)
    assert ledger.forget_happenings(-1) == 0
    assert ledger.forget_happenings() == 0
    outbox.send_due(ledger, loaded)
    assert ledger.forget_happenings(-1) == 1
    assert states(ledger) == []


def email(port: int, security: str, *, login: bool = False) -> config.Config:
    who = 'user = "farm"\npassword = "env:MAIL_PASSWORD"\n' if login else ""
    text = (
        f'format = 1\n[[email]]\nname = "people"\nserver = "127.0.0.1"\nport = {port}\nsecurity = "{security}"\n{who}'
        f'ca = "{CERT}"\nsender = "farm@example.org"\nto = ["a@example.org", "b@example.org"]\n'
    )
    return config.parse(text.encode(), "notify.toml")


@pytest.mark.parametrize(("security", "login"), [("none", False), ("starttls", True), ("tls", False)])
def test_mail_is_what_a_maintainer_wants_to_read(tmp_path: Path, security: str, login: bool) -> None:
    with mailbox(security, login=login) as box, Ledger.open(tmp_path / "l.sqlite") as ledger:
        loaded = email(box.port, security, login=login)
        listening(ledger, loaded)
        through_all(ledger)
        assert [one.error for one in outbox.send_due(ledger, loaded)] == [""] * 8
    assert set(box.encrypted) == {security == "starttls"}, "tls is under SMTP, which does not see it"
    assert set(box.users) == ({"farm"} if login else set())
    people, mail = box.got[2]
    assert people == ["a@example.org", "b@example.org"]
    assert mail["Subject"] == "[farm] cascade 1 waits for you: a change"
    assert mail["From"] == "farm@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode().replace("\r\n", "\n")
    assert text.startswith("cascade 1 waits for you: a change\n")
    assert "next:\n  farm cascade show 1\n" in text
    assert {mail["References"] for _, mail in box.got} == {"<cascade-1.farm@example.org>"}, "one thread"
    assert len({mail["Message-ID"] for _, mail in box.got}) == 8


def test_mail_to_some_of_the_people_counts(tmp_path: Path) -> None:
    with mailbox("none") as box, Ledger.open(tmp_path / "l.sqlite") as ledger:
        loaded = email(box.port, "none")
        listening(ledger, loaded)
        ledger.create_cascade(chain("gmp"))
        box.refuses = {"a@example.org"}
        assert [one.error for one in outbox.send_due(ledger, loaded)] == [""]
        assert box.got[0][0] == ["b@example.org"]
        ledger.create_cascade(chain("gmp"))
        box.refuses = {"a@example.org", "b@example.org"}
        (one,) = outbox.send_due(ledger, loaded)
        assert one.is_last
        assert "550 no such user" in one.error


def test_mail_trusts_no_strange_certificate_and_a_wrong_password_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mailbox("starttls", login=True) as box, Ledger.open(tmp_path / "l.sqlite") as ledger:
        loaded = email(box.port, "starttls", login=True)
        people = loaded.email[0].model_copy(update={"ca": ""})
        with pytest.raises(NotifyError, match="CERTIFICATE_VERIFY_FAILED"):
            outbox.send(people, message.test("u", "t", "people"))
        monkeypatch.setenv("MAIL_PASSWORD", "wrong password")
        listening(ledger, loaded)
        ledger.create_cascade(chain("gmp"))
        (one,) = outbox.send_due(ledger, loaded)
        assert "refuses: 535" in one.error
        assert not one.is_last
        assert "wrong password" not in f"{one}{states(ledger)}"


def test_webhooks_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with hook(secure=True) as chat:
        loaded = to(chat.url, more=f'ca = "{CERT}"')
        outbox.send(loaded.webhook[0], message.test("u1", "t", "chat"))
        assert chat.types == ["test"]
        with pytest.raises(NotifyError, match="CERTIFICATE_VERIFY_FAILED"):
            outbox.send(to(chat.url).webhook[0], message.test("u", "t", "chat"))


def test_secrets_come_from_variables_and_files_and_are_said_nowhere(
    tmp_path: Path, chat: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "url").write_text(f"{chat.url}?door=abracadabra\n")
    monkeypatch.setenv("CHAT_SECRET", "s3cr3t-s3cr3t")
    loaded = to(f"file:{tmp_path}/url")
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        listening(ledger, loaded)
        ledger.create_cascade(chain("gmp"))
        chat.answers = [500]
        (one,) = outbox.send_due(ledger, loaded)
        kept = f"{one}{ledger.delivery_list(limit=9)}"
        due_again(ledger)
        outbox.send_due(ledger, loaded)
    assert len(chat.got) == 1
    (tmp_path / "url").write_text("http://127.0.0.1:9/?door=abracadabra")
    with pytest.raises(NotifyError) as refused:
        outbox.send(loaded.webhook[0], message.test("u", "t", "chat"))
    for text in (kept, str(refused.value), redact.redact(caplog.text)):
        assert "abracadabra" not in text
        assert "s3cr3t" not in text


@pytest.mark.parametrize("address", ["http://example.org/x", "ftp://h/x", "nowhere", "http://[x"])
def test_an_address_from_a_file_is_held_to_the_same_rules(tmp_path: Path, address: str) -> None:
    (tmp_path / "url").write_text(address)
    (target,) = to(f"file:{tmp_path}/url").webhook
    with pytest.raises(NotifyError, match="its address is") as refused:
        outbox.send(target, message.test("u", "t", "chat"))
    assert address not in str(refused.value)


def test_what_is_no_name_of_a_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRESS", "https://a..b/x")
    mail = MAIL.replace('server = "m"', 'server = "a..b"')
    loaded = to("env:ADDRESS", more=mail)
    for target in (loaded.webhook[0], loaded.email[0]):
        with pytest.raises(NotifyError, match="does not answer"):
            outbox.send(target, message.test("u", "t", "chat"))


HOOK = '[[webhook]]\nname = "chat"\nurl = "https://h/x"\nsecret = "env:S"\n'
MAIL = '[[email]]\nname = "people"\nserver = "m"\nsender = "a@b"\nto = ["c@d"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "format: is missing"),
        ("format = 2", "format: 2 is not allowed"),
        ("format = 1\n[[webhok]]", "webhok: is not a known key; did you mean 'webhook'?"),
        ("format = 1\n[", "is not TOML"),
        (f"format = 1\n{HOOK}urll = 1", "[webhook #1] urll: is not a known key"),
        (f"format = 1\n{HOOK.replace('env:S', 'hunter22')}", "[webhook #1] secret: a secret is not written here"),
        (f"format = 1\n{HOOK.replace('https', 'http')}", "[webhook #1] url: is http://, which anybody"),
        (f"format = 1\n{HOOK.replace('//h', '//u:hunter22@h')}", "[webhook #1] url: holds a password"),
        (f"format = 1\n{HOOK}events = ['cascade.fineshed']", "matches no event; there are cascade.started"),
        (f"format = 1\n{HOOK}events = []", "[webhook #1] events"),
        (f"format = 1\n{HOOK}{HOOK}{MAIL}", "'chat' is the name of two targets"),
        (f"format = 1\n{HOOK}{HOOK}", "'chat' is the name of two targets"),
        (f"format = 1\n{HOOK}{MAIL.replace('people', 'chat')}", "'chat' is the name of two targets"),
        (f"format = 1\n{MAIL}password = 'hunter22'\nuser = 'u'", "[email #1] password: a secret is not written here"),
        (f"format = 1\n{MAIL}user = 'u'", "user and password belong together"),
        (f"format = 1\n{MAIL}security = 'none'", 'security = "none" is for a server on this machine'),
        (f"format = 1\n{MAIL.replace('c@d', 'C <c@d>')}", "is no mail address"),
    ],
)
def test_faults_of_the_file_are_said(text: str, told: str) -> None:
    with pytest.raises(CatalogError) as refused:
        config.parse(text.encode(), "notify.toml")
    assert told in str(refused.value)
    assert "notify.toml: " in str(refused.value)
    assert "hunter22" not in str(refused.value)


def call(tmp_path: Path, *arguments: str) -> int:
    return run(["--catalog", str(tmp_path), "--home", str(tmp_path / "home"), "notify", *arguments])


def test_the_verb(tmp_path: Path, chat: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "test") == 16
    assert "there is no such file" in capsys.readouterr().err
    file = tmp_path / "notify.toml"
    file.write_text(f"format = 1\n{HOOK.replace('https://h/x', chat.url).replace('env:S', 'env:CHAT_SECRET')}")
    assert call(tmp_path, "test", "people") == 2
    assert "there is no target 'people'" in capsys.readouterr().err
    assert call(tmp_path, "test", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"target": "chat", "taken": True, "error": ""}]
    assert chat.types == ["test"]
    assert call(tmp_path, "list") == 0
    assert capsys.readouterr().out == "nothing waits, nothing was given up\n"
    with Ledger.open(tmp_path / "home/ledger.sqlite") as ledger:
        ledger.create_cascade(chain("gmp"))
    assert call(tmp_path, "list") == 0
    assert re.search(r"cascade\.started +cascade 1 +chat +waiting +0 +now", capsys.readouterr().out)
    chat.answers = [410]
    assert call(tmp_path, "send-due") == 16
    assert "0 messages sent, 0 tried again later, 1 given up" in capsys.readouterr().out
    assert call(tmp_path, "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["tries"], row["event"]) == ("given up", 1, "cascade.started")
    assert call(tmp_path, "retry", "people") == 2
    assert "there is no target 'people'" in capsys.readouterr().err
    assert call(tmp_path, "retry") == 0
    assert capsys.readouterr().out == "1 message to be tried\n1 message sent, 0 tried again later, 0 given up\n"
    assert call(tmp_path, "list", "--all") == 0
    assert "sent" in capsys.readouterr().out


def test_cascade_verbs_tell_what_they_did(tmp_path: Path, chat: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notify.toml"
    file.write_text(f"format = 1\n{HOOK.replace('https://h/x', chat.url).replace('env:S', 'env:CHAT_SECRET')}")
    assert call(tmp_path, "list") == 0
    with Ledger.open(tmp_path / "home/ledger.sqlite") as ledger:
        ledger.create_cascade(chain("gmp"))
    words = ["--catalog", str(tmp_path), "--home", str(tmp_path / "home"), "cascade", "abandon", "1", "--reason", "no"]
    chat.answers = [503]
    assert run(words) == 0, "that nobody can be told fails nothing"
    assert "is tried again later" in capsys.readouterr().err
    assert call(tmp_path, "retry") == 0
    assert chat.types == ["cascade.started", "cascade.abandoned"]


def test_every_kind_has_words() -> None:
    assert set(message._WORDS) == set(Kind)
