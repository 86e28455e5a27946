"""What is said: a subject and a text for people, the same facts for programs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farm.cascade import summary
from farm.errors import UsageError
from farm.model.happening import Happening, Kind
from farm.redact import redact, redact_all

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_KEPT = 2000  # characters of a task's error

# What happened -> (subject, what to do next). Fields: `id` and `what` of the cascade, `channel`, `step`, `recipes`.
_WORDS: Mapping[Kind, tuple[str, tuple[str, ...]]] = {
    Kind.STARTED: ("cascade {id} begins: {what}", ("farm cascade advance {id}",)),
    Kind.FAILED: ("cascade {id}: something failed, the rest goes on: {what}", ("farm cascade show {id}",)),
    Kind.WAITING: (
        "cascade {id} waits for you: {what}",
        (
            "farm cascade show {id}",
            "mend it, then farm cascade advance {id} --retry",
            "or farm cascade fence {id} RECIPE --until DATE --reason TEXT",
            "or farm cascade abandon {id}",
        ),
    ),
    Kind.STAGED: ("cascade {id} is staged: {what}", ("farm cascade promote {id}",)),
    Kind.PROMOTED: ("cascade {id} is promoted to {channel}: {what}", ("to take it back: farm cascade rollback {id}",)),
    Kind.ROLLED_BACK: ("cascade {id} was taken back from {channel}: {what}", ("farm cascade promote {id}",)),
    Kind.FENCED: ("cascade {id} leaves out {recipes}: {what}", ("farm cascade show {id}",)),
    Kind.ABANDONED: ("cascade {id} was given up: {what}", ()),
    Kind.GATE: ("{step}: a gate refuses it", ("farm logs {step}", "farm why {step}", "farm shell {step}")),
    Kind.TEST: ("{step}: its {suite} tests failed", ("farm test {recipe} --suite {suite}",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`id` is the same at every try; `thread` names what it belongs to; `document` is JSON."""

    id: str
    subject: str
    text: str
    thread: str
    document: Mapping[str, Any]


def of(happening: Happening, ledger: Ledger) -> Message:
    """What to say of a happening, as things are now. Raises UsageError if what it is about is forgotten."""
    fields: dict[str, Any] = dict.fromkeys(("id", "what", "channel", "step", "recipe", "recipes", "suite"), "")
    data: dict[str, Any] = {"why": happening.text, "details": dict(happening.details)}
    told: list[str] = []
    if happening.cascade is not None:
        cascade = ledger.cascade(happening.cascade)
        report = summary.gathered(ledger, cascade)
        fields |= {"id": cascade.id, "what": cascade.what, "channel": cascade.channel}
        fields["recipes"] = ", ".join(happening.details.get("recipes", ()))
        told = [*summary.lines(report), *_shown(report)]
        data["cascade"] = _cut(summary.document(report))
    else:
        step = ledger.step(happening.key)
        if step is None:
            raise UsageError(f"the ledger does not know the key {happening.key[:12]}", where="ledger")
        fields |= {"step": step.id, "recipe": step.recipe, "suite": happening.details.get("kind", "")}
        data["step"] = {"id": step.id, "recipe": step.recipe, "version": step.version, "platform": step.platform}
    pattern, next_ = _WORDS[happening.kind]
    subject = pattern.format_map(fields)
    lines = [f"{subject}", *([f"  {happening.text}"] if happening.text else []), ""]
    lines += [*told, ""] if told else []
    lines += ["next:", *(f"  {line.format_map(fields)}" for line in next_)] if next_ else []
    thread = f"cascade-{happening.cascade}" if happening.cascade is not None else f"step-{happening.key[:12]}"
    return _message(happening.uid, happening.kind, happening.at.isoformat(), subject, lines, thread, data)


def test(uid: str, at: str, target: str) -> Message:
    """What `farm notify test` says."""
    subject = f"test of the target {target}"
    lines = [subject, "", f"The farm on {socket.gethostname()} can reach you. Nothing happened; nothing is to be done."]
    return _message(uid, "test", at, subject, lines, "test", {"why": "", "details": {}})


def from_body(body: Mapping[str, Any]) -> Message:
    """The message that was kept by `body_of` for the next try."""
    return Message(**body)


def body_of(message: Message) -> dict[str, Any]:
    """A message as the ledger keeps it."""
    return {name: getattr(message, name) for name in ("id", "subject", "text", "thread", "document")}


def _message(
    uid: str, kind: str, at: str, subject: str, lines: list[str], thread: str, data: dict[str, Any]
) -> Message:
    subject = redact(" ".join(subject.split()))
    text = redact("\n".join(lines).rstrip() + "\n")
    document = {"type": kind, "id": uid, "timestamp": at, "subject": subject, "text": text, "data": redact_all(data)}
    return Message(id=uid, subject=subject, text=text, thread=thread, document=document)


def _shown(report: summary.Report) -> Iterator[str]:
    for task in report.shown:
        blocked = f"needs {task.culprit}, which failed" if task.culprit else ""
        why = (task.error or blocked or task.note or task.why).strip().partition("\n")[0]
        yield f"  {task.id}: {task.state}: {why}"


def _cut(document: dict[str, Any]) -> dict[str, Any]:
    """Errors of tasks by their end: a message is no log."""
    shown = [task | {"error": task["error"][-_KEPT:]} for task in document["shown"]]
    return document | {"shown": shown}
