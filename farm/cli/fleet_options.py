"""The arguments that verbs of the fleet share: the broker's address, queues, rights."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from farm.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from farm.fleet.order import Right

BROKER = "FARM_BROKER"
FROM_ENVIRONMENT = "env"  # --broker env: the address is in FARM_BROKER, where `ps` does not show it


def configure_broker(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Add --broker."""
    default = f"; default: ${BROKER}" if needed else f"; 'env': ${BROKER}"
    parser.add_argument(
        "--broker", metavar="URL", help=f"the fleet's Redis: redis://HOST:6379/0, rediss://...{default}"
    )


def broker_of(args: argparse.Namespace) -> str:
    """The broker's address. Raises UsageError."""
    from farm.fleet import broker

    url = args.broker if args.broker not in (None, FROM_ENVIRONMENT) else os.environ.get(BROKER, "")
    if not url:
        raise UsageError("no broker is named", where="--broker", fix=f"--broker redis://HOST:6379/0, or set {BROKER}")
    return broker.checked(url)


def again(args: argparse.Namespace) -> str:
    """The options by which `farm build` asked a fleet, to be shown: without a password. Empty if it asked none."""
    if not args.broker:
        return ""
    named = FROM_ENVIRONMENT if "@" in args.broker else args.broker
    return f" --broker {named}{' --pull-requests --no-publish' if args.pull_requests else ''}"


def queues_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The queues that a worker serves. Raises UsageError."""
    from farm.fleet import queues
    from farm.settings import build_machine

    right = right_of(args)
    return queues.checked(args.queue, right) if args.queue else queues.of_machine(right, build_machine())


def right_of(args: argparse.Namespace) -> Right:
    """What an order must be signed with the right to."""
    return "pr" if getattr(args, "pull_requests", False) else "build"


def lease_of(args: argparse.Namespace) -> float:
    """Seconds of silence after which a worker counts as gone. Raises UsageError."""
    from farm.fleet.slot import FLEET_LEASE_SECONDS

    if args.lease is not None and not 1 <= args.lease < math.inf:
        raise UsageError("a lease needs a second at least", where="--lease", fix="give 1 or more")
    return FLEET_LEASE_SECONDS if args.lease is None else float(args.lease)


def refuse_nonsense(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if args.broker and (args.jobs != 1 or args.no_sandbox):
        raise UsageError(
            "how steps are carried out is the workers' business",
            where="--broker",
            fix="give --concurrency and --no-sandbox to `farm worker`",
        )
    if not args.broker and (args.follow or args.pull_requests):
        raise UsageError("that is for a fleet", where="--follow, --pull-requests", fix="add --broker URL")
    if args.pull_requests and not args.no_publish:
        raise UsageError(
            "what a pull request proposes is not published", where="--pull-requests", fix="add --no-publish"
        )
