"""Keys and queues of a fleet of workers.

`key` makes the key that signs what this machine asks workers for, and prints the line for their lists of trusted keys.
`queues` shows what waits and what runs; `sweep` forgets jobs that ended long ago.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from farm.cli import fleet_keys, numbers
from farm.cli.output import counted, human_seconds, print_json, print_table
from farm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from farm.fleet.order import Right
    from farm.settings import Settings

EPILOG = """examples:
  farm fleet key                       make FARM_HOME/fleet/key.pem, trust it here, print its line
  farm fleet key --rights pr           of a machine that asks for what pull requests propose: it never publishes
  farm fleet key --show                print the line again
  farm fleet key --show --until 2027-06-30 --recipe 'zlib*'    a line that counts for some time, for some recipes
  farm fleet queues                    what waits and what runs
  farm fleet sweep --days 30           forget jobs that ended a month ago
"""
_DAYS = 14.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    key = actions.add_parser("key", help="make the key that signs orders, or show its public half")
    key.add_argument("--show", action="store_true", help="make nothing")
    key.add_argument(
        "--rights", default="build,pr", metavar="R,R", help="what it may ask for: build, pr (default both)"
    )
    key.add_argument("--until", metavar="DATE", help="the last day that it counts: 2027-06-30 (UTC)")
    key.add_argument("--recipe", action="append", default=[], metavar="GLOB", help="what it may ask for; repeatable")
    key.add_argument("--name", help="whose it is, for those who read the list; default: this host")
    actions.add_parser("queues", help="show what waits and what runs")
    sweep = actions.add_parser("sweep", help="forget jobs that ended long ago")
    sweep.add_argument("--days", type=numbers.days, default=_DAYS, metavar="N", help=f"default {_DAYS:g}")
    for one in actions.choices.values():
        one.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one of the actions."""
    actions: dict[str, Callable[[argparse.Namespace, Settings], int]] = {
        "key": _key,
        "queues": _queues,
        "sweep": _sweep,
    }
    return actions[args.action](args, settings)


def _key(args: argparse.Namespace, settings: Settings) -> int:
    import socket

    from farm.fleet import signing, trust
    from farm.store import home

    rights = _rights(args.rights)
    owner = args.name or socket.gethostname()
    if args.show:
        signer = signing.signer(fleet_keys.key_path(settings))
    else:
        home.prepare(settings.home)
        signer = signing.make_key(fleet_keys.key_path(settings))
    line = trust.line_of(signer, rights, owner, until=args.until or "", recipes=args.recipe)
    if not args.show:
        trust.trust(fleet_keys.trusted_path(settings), line)
    if args.json:
        print_json({"key": str(fleet_keys.key_path(settings)), "fingerprint": signer.name, "line": line})
    else:
        print(line)
    return 0


def _rights(text: str) -> tuple[Right, ...]:
    from farm.fleet.trust import RIGHTS

    wanted = text.split(",")
    if not set(wanted) <= set(RIGHTS):
        raise UsageError(f"{text!r} are no rights", where="--rights", fix=f"some of {','.join(RIGHTS)}")
    return tuple(right for right in RIGHTS if right in wanted)


def _queues(args: argparse.Namespace, settings: Settings) -> int:
    from farm.cli import history

    with history.ledger_if_any(settings) as ledger:
        found = ledger.queue_depths() if ledger is not None else ()
    if args.json:
        print_json([{"queue": d.queue, "queued": d.queued, "running": d.running, "oldest": d.oldest} for d in found])
        return 0
    rows = [[d.queue, str(d.queued), str(d.running), human_seconds(d.oldest) if d.queued else ""] for d in found]
    print_table(["queue", "waiting", "at work", "oldest"], rows)
    if not rows:
        print("no jobs")
    return 0


def _sweep(args: argparse.Namespace, settings: Settings) -> int:
    from farm.cli import history

    if not args.days >= 0:
        raise UsageError("must be 0 or more", where="--days", fix="0 forgets all that ended")
    with history.ledger_if_any(settings) as ledger:
        count = ledger.sweep_jobs(args.days) if ledger is not None else 0
    if args.json:
        print_json({"forgotten": count})
    else:
        print(f"{counted(count, 'job')} forgotten")
    return 0
