"""The clock of a fleet: hands out again what dead workers had though no other worker is there to see it, rings for what
waits, forgets jobs that ended long ago, and with --run-due starts and advances cascades that are due.

A fleet is safe without it; with several, each does the same and none is in another's way.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from farm.cli import fleet_options, numbers
from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.process import Cancel
    from farm.settings import Settings

EPILOG = """examples:
  farm beat --broker redis://farm.example:6379/0
  farm beat --broker redis://farm.example:6379/0 --run-due 15    also start and advance cascades
"""
_DAYS = 14.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    fleet_options.configure_broker(parser, needed=True)
    parser.add_argument(
        "--run-due", type=numbers.amount, default=0.0, metavar="MINUTES", help="run scheduled cascades so often"
    )
    parser.add_argument(
        "--keep-days", type=numbers.days, default=_DAYS, metavar="N", help=f"of ended jobs; default {_DAYS:g}"
    )
    parser.add_argument("--lease", type=float, metavar="SECONDS", help="as given to the workers")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve until interrupted, which is its ordinary end."""
    from farm.fleet import greeting
    from farm.fleet.beat import Beat
    from farm.fleet.broker import Waker, shown
    from farm.process import Cancel
    from farm.store import home
    from farm.store.ledger import Ledger

    if not args.run_due >= 0 or not args.keep_days >= 0:
        raise UsageError("must be 0 or more", where="--run-due, --keep-days", fix="0 runs nothing; keeps nothing")
    url = fleet_options.broker_of(args)
    greeting.greet(url)
    home.prepare(settings.home)
    waker, stop = Waker(url), Cancel()
    with contextlib.suppress(KeyboardInterrupt), Ledger.open(settings.ledger) as ledger:
        clock = Beat(
            ledger,
            wake=waker.wake,
            lease_seconds=fleet_options.lease_of(args),
            keep_days=args.keep_days,
            due=lambda: _run_due(url, settings, stop),
            due_seconds=args.run_due * 60,
        )
        print(f"beating on {shown(url)}", flush=True)
        clock.serve(stop)
    print("stopped", flush=True)
    return 0


def _run_due(url: str, settings: Settings, stop: Cancel) -> None:
    """As a process of its own: a cascade is no business of a clock. The address is in its environment, not in `ps`."""
    import os

    from farm.process import run as run_program

    places = ["--catalog", str(settings.catalog), "--home", str(settings.home)]
    env = {**os.environ, fleet_options.BROKER: url}
    due = ["cascade", "run-due", "--broker", fleet_options.FROM_ENVIRONMENT]
    command = [sys.executable, "-m", "farm.cli", *places, *due]
    run_program(command, env=env, on_line=lambda line: print(line, flush=True), cancel=stop)
