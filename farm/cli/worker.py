"""Carry out steps that others ask for: one worker a machine, as many as you like. Stop it with Ctrl-C or SIGTERM: what
it has goes back into the queue at once.

A worker needs the ledger (FARM_LEDGER, a PostgreSQL database; on one machine the default), the store, and a list of
keys whose orders it takes. docs/fleet.md tells how to run many.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from farm.cli import fleet_keys, fleet_options, fleeting, numbers
from farm.cli.output import counted
from farm.errors import UsageError

if TYPE_CHECKING:
    from farm.process import Child
    from farm.settings import Settings

EPILOG = """examples:
  farm worker --broker redis://farm.example:6379/0            all that this machine can do, one step at a time
  FARM_BROKER=rediss://:secret@farm.example/0 farm worker     the address from the environment: no password in `ps`
  farm worker --queue test.wine --concurrency 4               only tests on Wine, four at a time
  farm worker --pull-requests                                 what pull requests propose, without publishing rights
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    fleet_options.configure_broker(parser, needed=True)
    parser.add_argument("--queue", action="append", default=[], metavar="Q", help="serve only these; repeatable")
    parser.add_argument(
        "--concurrency", type=numbers.whole, default=1, metavar="N", help="steps at once, each a process"
    )
    parser.add_argument("--pull-requests", action="store_true", help="serve the queues pr.*, and nothing else")
    parser.add_argument("--trusted", metavar="FILE", help="keys whose orders count (default: FARM_HOME/fleet/trusted)")
    parser.add_argument("--lease", type=float, metavar="SECONDS", help="silence after which a worker counts as gone")
    parser.add_argument("--no-sandbox", action="store_true", help="build without bubblewrap: nothing is hidden")
    parser.add_argument("--slot", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serve until interrupted; that is a worker's ordinary end, so the exit code is 0 then."""
    if args.concurrency < 1:
        raise UsageError(f"{args.concurrency} slots cannot work", where="--concurrency", fix="give 1 or more")
    fleet_options.lease_of(args)  # refuses before anything starts
    share = replace(settings, cores=max(1, settings.cores // args.concurrency))
    return _slot(args, share) if args.slot else _worker(args, settings)


def _worker(args: argparse.Namespace, settings: Settings) -> int:
    from farm.fleet import broker, greeting
    from farm.fleet.worker import Worker
    from farm.process import Child
    from farm.store import home
    from farm.store.ledger import Ledger

    url, queues = fleet_options.broker_of(args), fleet_options.queues_of(args)
    home.prepare(settings.home)
    fleet_keys.trusted_keys(args, settings)  # refuses before anything starts
    greeting.greet(url)
    seconds = fleet_options.lease_of(args)
    command = [sys.executable, "-m", "farm.cli", *args.argv, "--slot"]
    env = {**os.environ, "FARM_BROKER": url}

    def start() -> Child:
        return Child(command, env=env)

    with Ledger.open(settings.ledger) as ledger:
        worker = Worker(ledger, queues, start, args.concurrency, seconds)
        broker.listen(url, queues, lambda _queue, _key: worker.wake())
        slots = counted(args.concurrency, "slot")
        print(f"worker with {slots} on {broker.shown(url)} serves {' '.join(queues)}", flush=True)
        try:
            worker.serve()
        except KeyboardInterrupt:
            print("stopped; what was at work is queued again", flush=True)
    return 0


def _slot(args: argparse.Namespace, settings: Settings) -> int:
    """One of the processes that do the work."""
    from farm.fleet import slot_process

    slot_process.serve(lambda: fleeting.slot(args, settings))
    return 0
