"""What a watcher is shown: a table on a terminal, lines in a pipe, objects for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from farm.cli.output import human_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from farm.store.looking import Seen


_WHY = 100  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeLook:
    """A cascade that has not ended: `counts` are tasks by state."""

    id: int
    what: str
    state: str
    note: str
    counts: dict[str, int]

    @property
    def done(self) -> str:
        """``12 of 300 done, 1 failed``."""
        text = f"{self.counts.get('done', 0)} of {sum(self.counts.values())} done"
        failed = self.counts.get("failed", 0)
        return f"{text}, {failed} failed" if failed else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The farm at a moment. `waits` counts queued jobs by queue."""

    at: datetime
    running: tuple[Seen, ...] = ()
    failed: tuple[Seen, ...] = ()
    cascades: tuple[CascadeLook, ...] = ()
    waits: dict[str, int] = field(default_factory=dict)
    trouble: str = ""


def table(now: Look) -> RenderableType:
    """A look for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(f"{now.at:%H:%M:%S} UTC", style="dim")]
    if now.trouble:
        parts.append(Text(f"  {now.trouble}", style="red"))
    running = Table("running", "phase", "for", "on", box=None, pad_edge=False, header_style="bold")
    for one in now.running:
        running.add_row(
            *map(Text, (one.step, one.phase or "begins", human_seconds(one.seconds), f"{one.host}:{one.pid}"))
        )
    parts.append(running if now.running else Text("nothing runs", style="dim"))
    if now.waits:
        parts.append(Text(f"queued: {_queued(now.waits)}"))
    if now.cascades:
        cascades = Table("cascade", "what", "state", "tasks", "note", box=None, pad_edge=False, header_style="bold")
        for it in now.cascades:
            cascades.add_row(*map(Text, (str(it.id), it.what, it.state, it.done, it.note)))
        parts += [Text(""), cascades]
    if now.failed:
        failed = Table("failed last", "ago", "why", box=None, pad_edge=False, header_style="bold")
        for one in now.failed:
            failed.add_row(*map(Text, (one.step, _ago(now, one), _first(one))))
        parts += [Text(""), failed]
    return Group(*parts)


def _queued(waits: dict[str, int]) -> str:
    return ", ".join(f"{queue} {count}" for queue, count in sorted(waits.items()))


def changes(before: Look, now: Look) -> Iterator[str]:
    """What is different, one line each. The first look is told as if nothing had been before it."""
    if now.trouble != before.trouble:
        yield now.trouble or "the ledger answers again"
    yield from _steps(before, now)
    cascades = {it.id: it for it in before.cascades}
    for it in now.cascades:
        if it != cascades.get(it.id):
            yield f"cascade {it.id}: {it.what}: {it.state}, {it.done}{f': {it.note}' if it.note else ''}"
    for id_ in sorted(cascades.keys() - {it.id for it in now.cascades}):
        yield f"cascade {id_}: ended"
    if now.waits != before.waits:
        yield f"queued: {_queued(now.waits) or 'nothing'}"


def _steps(before: Look, now: Look) -> Iterator[str]:
    was = {one.id: one for one in before.running}
    for one in now.running:
        on = f"on {one.host}:{one.pid}, for {human_seconds(one.seconds)}"
        if one.id not in was:
            yield f"{one.step}: {one.phase or 'begins'} {on}"
        elif one.phase != was[one.id].phase:
            yield f"{one.step}: {one.phase} {on}"
    failed = {one.id: one for one in now.failed}
    still = {one.id for one in now.running}
    for one in was.values():
        if one.id not in still and one.id not in failed:
            yield f"{one.step}: ended"
    for id_ in sorted(failed.keys() - {one.id for one in before.failed}):
        yield f"{failed[id_].step}: FAILED {_ago(now, failed[id_])} ago: {_first(failed[id_])}"


def _first(one: Seen) -> str:
    """The first line of why, and not all of a long command; `farm logs` has the rest."""
    line = one.error.strip().partition("\n")[0].removeprefix(f"{one.step}: ")
    return line if len(line) <= _WHY else f"{line[: _WHY - 4]} ..."


def _ago(now: Look, one: Seen) -> str:
    return human_seconds(max(0.0, (now.at - one.started).total_seconds() - one.seconds))


def document(now: Look) -> dict[str, Any]:
    """A look for programs; times are ISO 8601 in UTC, durations seconds."""
    return {
        "at": now.at.isoformat(),
        "trouble": now.trouble,
        "running": [_row(one) for one in now.running],
        "queued": dict(now.waits),
        "cascades": [
            {"id": it.id, "what": it.what, "state": it.state, "note": it.note, "tasks": it.counts}
            for it in now.cascades
        ],
        "failed": [_row(one) | {"error": one.error} for one in now.failed],
    }


def _row(one: Seen) -> dict[str, Any]:
    return {
        "step": one.step,
        "platform": one.platform,
        "phase": one.phase,
        "host": one.host,
        "pid": one.pid,
        "started": one.started.isoformat(),
        "seconds": round(one.seconds, 1),
    }
