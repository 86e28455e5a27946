"""What a maintainer pastes into a chat, and the same facts for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from farm.model.cascade import Cascade, CascadeState, CascadeTask, Fence, Progress, TaskState
from farm.model.rework import Verb
from farm.model.shown import counted, human_seconds

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_SHOWN = 20  # tasks that a report lists
_DONE = {Verb.BUILD: "built", Verb.REBIND: "rebound", Verb.TEST: "tested"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A cascade with all that is to be said about it. `shown` are the tasks worth a line: failed, blocked, put off."""

    cascade: Cascade
    progress: Progress
    fences: tuple[Fence, ...]
    shown: tuple[CascadeTask, ...] = ()


def gathered(ledger: Ledger, cascade: Cascade, *, everything: bool = False) -> Report:
    """All that is to be said of a cascade; of its tasks those that failed or are blocked, 20 at most, or `everything`.
    Raises StoreError."""
    bad = () if everything else (TaskState.FAILED, TaskState.BLOCKED)
    return Report(
        cascade=cascade,
        progress=ledger.progress(cascade.id),
        fences=ledger.fences(cascade.id),
        shown=ledger.tasks_of(cascade.id, *bad, limit=None if everything else _SHOWN),
    )


def lines(report: Report, *, now: datetime | None = None) -> Iterable[str]:
    """The summary for people. `now` is what the ends of fences are compared with."""
    cascade, progress = report.cascade, report.progress
    yield f"cascade {cascade.id}: {cascade.what} ({cascade.kind}) is {_where(cascade)}"
    if cascade.reason:
        yield f"  why: {cascade.reason}"
    if cascade.note:
        yield f"  note: {cascade.note}"
    for change, verdict in cascade.verdicts.items():
        yield f"  ABI: {change}: {verdict}"
    yield f"  {work(progress)}"
    if cascade.untouched:
        yield f"  untouched: {counted(cascade.untouched, 'step')}"
    for fence in report.fences:
        yield f"  fenced: {fence.recipe} {_until(fence, now)}: {fence.reason}"
    saved = f"; about {human_seconds(cascade.saved)} of building saved" if cascade.saved else ""
    begun = f"begun {cascade.created:%Y-%m-%d %H:%M} UTC{_took(cascade)}"
    yield f"  work: {human_seconds(progress.seconds)}{saved}; {begun}"
    if cascade.checks:
        yield f"  checked: {_checks(cascade)}"


def work(progress: Progress) -> str:
    """``built 2, rebound 3, tested 12 (1 not run here); 4 found done; 3 to do, 1 failed``."""
    parts = []
    for verb, word in _DONE.items():
        done, total = progress.having(TaskState.DONE, verb), _total(progress, verb)
        if total:
            noted = f" ({progress.not_run} not run here)" if verb is Verb.TEST and progress.not_run else ""
            parts.append(f"{word} {done}{'' if done == total else f' of {total}'}{noted}")
    text = ", ".join(parts) or "nothing to do"
    if reused := sum(progress.reused.values()):
        text += f"; {reused} of them found done"
    left = [
        (progress.having(TaskState.READY) + progress.having(TaskState.WAITING), "to do"),
        (progress.having(TaskState.FAILED), "failed"),
        (progress.having(TaskState.BLOCKED), "blocked"),
        (progress.having(TaskState.FENCED), "fenced"),
    ]
    more = ", ".join(f"{count} {word}" for count, word in left if count)
    return f"{text}; {more}" if more else text


def document(report: Report) -> dict[str, Any]:
    """The same for programs; times are ISO 8601 in UTC, durations seconds."""
    cascade = report.cascade
    values = asdict(cascade) | {
        "created": cascade.created.isoformat(),
        "updated": cascade.updated.isoformat(),
        "finished": cascade.finished.isoformat() if cascade.finished else None,
    }
    counts: dict[str, dict[str, int]] = {verb: {} for verb in Verb}
    for (verb, state), count in report.progress.counts.items():
        counts[verb][state] = count
    return values | {
        "hidden": cascade.hidden,
        "tasks": counts,
        "reused": {str(verb): count for verb, count in report.progress.reused.items()},
        "not_run": report.progress.not_run,
        "seconds": round(report.progress.seconds, 3),
        "fences": [
            asdict(fence) | {"until": fence.until.isoformat(), "at": fence.at.isoformat()} for fence in report.fences
        ],
        "shown": [asdict(task) for task in report.shown],
    }


def _total(progress: Progress, verb: Verb) -> int:
    return sum(count for (one, _), count in progress.counts.items() if one is verb)


def _where(cascade: Cascade) -> str:
    if cascade.state is CascadeState.PROMOTED:
        return f"promoted: {cascade.channel}@{cascade.promoted:06d}"
    if cascade.state is CascadeState.STAGED:
        return f"staged: {cascade.hidden}@{cascade.staged:06d}, for {cascade.channel}"
    return f"{cascade.state}, for {cascade.channel}"


def _until(fence: Fence, now: datetime | None) -> str:
    over = " (its time is over)" if fence.until <= (now or datetime.now(UTC)) else ""
    return f"until {fence.until:%Y-%m-%d}{over}"


def _took(cascade: Cascade) -> str:
    if cascade.finished is None:
        return ""
    return f", {cascade.state} after {human_seconds((cascade.finished - cascade.created).total_seconds())}"


def _checks(cascade: Cascade) -> str:
    checks = cascade.checks
    text = f"{counted(checks.get('resolved', 0), 'install')} resolved"
    text += f", {counted(len(checks.get('imported', ())), 'wheel')} imported"
    if missing := checks.get("not_imported"):
        text += f", {len(missing)} not run here"
    if outside := checks.get("outside"):
        text += f"; needed from elsewhere: {', '.join(outside[:5])}"
    return text
