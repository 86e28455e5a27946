"""Roll a change out: build, move and test all that it concerns, check the whole, offer it by one flip, take it back.

A cascade goes on wherever it was stopped: `advance` may be called by anybody at any time, and be killed at any time.
Nothing is offered to users before `promote`. docs/cascades.md tells the whole story.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from farm.cli import cascade_options, cascading, moments, telling
from farm.cli.output import counted, human_seconds, print_json, print_table
from farm.errors import GateError, NothingToDoError, UsageError

if TYPE_CHECKING:
    from farm.cascade.draft import Request
    from farm.cli.cascading import Rooms
    from farm.model.cascade import Cascade, CascadeTask
    from farm.settings import Settings

EPILOG = """\
examples:
  farm cascade start --bump gmp=6.4.0 --platform '*'    a release that the recipe got, for every platform
  farm cascade start --toolchain manylinux_2_17_x86_64  a new compiler
  farm cascade start --cve CVE-2021-43618 --purl pkg:generic/gmp@6.2.1   what holds it, found in the wheels' SBOMs
  farm cascade start --all --reason 'monthly'           whatever is not built yet
  farm cascade advance                                  carry on with all of them, as far as it goes now
  farm cascade advance --broker redis://HOST:6379/0     the same on a fleet of workers (docs/fleet.md)
  farm cascade list --all                               those that have ended, too
  farm cascade show 7                                   a summary to paste into a chat
  farm cascade fence 7 pyfoo --until 2026-12-31 --reason 'upstream is dead'
  farm cascade promote 7                                users get it, all at once
  farm cascade rollback 7                               users get what they had before
  farm cascade abandon 7 --reason 'GMP 6.3.1 is out'    its wheels stay in the store, nobody gets them
  farm cascade run-due                                  for cron: start what is scheduled, advance all
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    cascade_options.configure(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one of the actions."""
    actions: dict[str, Callable[[argparse.Namespace, Rooms], int]] = {
        "start": _start,
        "list": _list,
        "show": _show,
        "advance": _advance,
        "promote": lambda args, rooms: _say(args, rooms, rooms.promoter.promote(args.cascade)),
        "rollback": lambda args, rooms: _say(args, rooms, rooms.promoter.rollback(args.cascade)),
        "fence": _fence,
        "abandon": lambda args, rooms: _say(args, rooms, rooms.promoter.abandon(args.cascade, args.reason)),
        "run-due": _run_due,
    }
    if getattr(args, "jobs", None) is not None and args.jobs < 1:
        raise UsageError(f"{args.jobs} jobs cannot work", where="--jobs", fix="give 1 or more")
    with cascading.rooms(settings) as rooms:
        try:
            return actions[args.action](args, rooms)
        finally:
            if args.action not in ("list", "show"):
                telling.tell(rooms.ledger, settings)


def _start(args: argparse.Namespace, rooms: Rooms) -> int:
    from farm.cli import cascade_requests

    place = cascading.catalog_place(rooms.settings)
    if args.before is not None and not (args.before / "recipes").is_dir():
        raise UsageError(
            f"{args.before} has no recipes: it is no catalog",
            where="--before",
            fix="give the directory that holds recipes/ and toolchains/ as they were: a git worktree",
        )
    request = cascade_requests.request_of(args, rooms)
    cascade = rooms.starter.start(request, place, args.before)
    if not args.json:
        print(f"started; `farm cascade advance {cascade.id}` carries it out")
    return _say(args, rooms, cascade)


def _list(args: argparse.Namespace, rooms: Rooms) -> int:
    found = rooms.ledger.cascades(unfinished=not args.all)
    if args.json:
        from farm.cascade.summary import document

        print_json([document(rooms.report(cascade)) for cascade in found])
        return 0
    if not found:
        print("no cascades" if args.all else "no unfinished cascades; `--all` shows those that have ended")
    rows = [
        [
            str(cascade.id),
            cascade.state.value,
            cascade.what,
            cascade.channel,
            str(cascade.priority),
            _counts(rooms, cascade),
            cascade.note,
        ]
        for cascade in found
    ]
    print_table(["", "state", "what", "channel", "priority", "done", "note"], rows)
    return 0


def _counts(rooms: Rooms, cascade: Cascade) -> str:
    from farm.model.cascade import TaskState

    progress = rooms.ledger.progress(cascade.id)
    return f"{progress.having(TaskState.DONE)} of {progress.total}"


def _show(args: argparse.Namespace, rooms: Rooms) -> int:
    return _say(args, rooms, rooms.ledger.cascade(args.cascade), everything=args.all)


def _advance(args: argparse.Namespace, rooms: Rooms) -> int:
    ids = args.cascade or [
        c.id for c in sorted(rooms.ledger.cascades(unfinished=True), key=lambda c: (-c.priority, c.id))
    ]
    for id_ in ids:
        if args.retry:
            rooms.ledger.retry_failed(id_)
        _one(args, rooms, id_, wait=args.wait)
    return _conclude(args, rooms, ids)


def _one(args: argparse.Namespace, rooms: Rooms, id_: int, *, wait: bool) -> None:
    """Carry one on; with `wait` until nothing is left that waiting helps."""
    while True:
        ended = rooms.advance(id_, args)
        pause = 1.0 if ended.elsewhere or ended.staged_elsewhere else ended.next_try
        if pause is None or not wait:
            break
        time.sleep(min(pause + 0.1, 30.0))
    if args.json:
        return
    if ended.elsewhere:
        print(f"  cascade {id_}: {counted(ended.elsewhere, 'task')} at work in other processes")
    if ended.staged_elsewhere:
        print(f"  cascade {id_}: another process is staging it")
    if ended.next_try is not None:
        print(f"  cascade {id_}: the next task is tried again in {human_seconds(ended.next_try)}: advance again then")


def _conclude(args: argparse.Namespace, rooms: Rooms, ids: list[int]) -> int:
    from farm.model.cascade import CascadeState

    found = [rooms.ledger.cascade(id_) for id_ in ids]
    if args.json:
        from farm.cascade.summary import document

        print_json([document(rooms.report(cascade)) for cascade in found])
    else:
        for cascade in found:
            _print(rooms, cascade, everything=False)
        if not found:
            print("no unfinished cascades")
    return GateError.exit_code if any(c.state is CascadeState.BLOCKED for c in found) else 0


def _fence(args: argparse.Namespace, rooms: Rooms) -> int:
    from farm.model.cascade import CascadeState

    cascade = rooms.ledger.cascade(args.cascade)
    if cascade.state in (CascadeState.PROMOTED, CascadeState.ABANDONED):
        raise UsageError(f"is {cascade.state} already", where=f"cascade {cascade.id}", fix="start another one")
    if args.lift:
        rooms.ledger.lift_fences(cascade.id, args.recipe)
    elif not args.reason or not args.until:
        raise UsageError("a fence needs an end and a reason", where="fence", fix="add --until DATE --reason TEXT")
    else:
        until = moments.to_come(args.until, "--until", datetime.now(UTC))
        rooms.ledger.fence(cascade.id, args.recipe, until, args.reason)
    rooms.promoter.unstage(cascade.id)
    return _say(args, rooms, rooms.ledger.cascade(cascade.id))


def _run_due(args: argparse.Namespace, rooms: Rooms) -> int:
    from farm.cli import cascade_requests

    request: Request | None = cascade_requests.scheduled(args, rooms)
    if request is not None:
        with contextlib.suppress(NothingToDoError):
            cascade = rooms.starter.start(request, rooms.settings.catalog, None)
            if not args.json:
                print(f"started cascade {cascade.id}: {cascade.what}")
    args.cascade, args.retry, args.wait = [], False, False
    return _advance(args, rooms)


def _say(args: argparse.Namespace, rooms: Rooms, cascade: Cascade, *, everything: bool = False) -> int:
    if args.json:
        from farm.cascade.summary import document

        print_json(document(rooms.report(cascade, everything=everything)))
    else:
        _print(rooms, cascade, everything=everything)
    return 0


def _print(rooms: Rooms, cascade: Cascade, *, everything: bool) -> None:
    from farm.cascade import summary

    report = rooms.report(cascade, everything=everything)
    for line in summary.lines(report):
        print(line)
    rows = [[f"  {task.id}", task.state.value, _told(task)] for task in report.shown]
    print_table(["  task", "state", "why"], rows)


def _told(task: CascadeTask) -> str:
    """The one line that says most of a task."""
    blocked = f"needs {task.culprit}, which failed" if task.culprit else ""
    text = task.error or blocked or task.note or task.why
    return text.strip().partition("\n")[0]
