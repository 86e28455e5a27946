"""Tell people and programs what happened to cascades and which gates refused, by mail and by webhooks.

Who is told of what is in notify.toml beside recipes/ ($FARM_NOTIFY names another file); docs/observing.md explains it.
What happens is kept in the ledger until it is told: nothing is lost by a kill, and every message has an id that is the
same however often it is tried. `farm cascade` and `farm build` send what is due when they end; for what could not be
sent then, call `farm notify send-due` from cron.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from farm.cli import numbers
from farm.cli.output import counted, human_seconds, print_json, print_table
from farm.errors import FarmError, NotifyError, UsageError

if TYPE_CHECKING:
    from farm.model.happening import Delivery
    from farm.notify.config import Config
    from farm.settings import Settings
    from farm.store.ledger import Ledger

EPILOG = """examples:
  farm notify test                     a test message to every target of notify.toml
  farm notify test chat                to one
  farm notify list                     what waits, and what was given up, and why
  farm notify list --all --json
  farm notify send-due                 for cron: tell what was not told yet
  farm notify retry chat               what was given up, once more
"""
_SHOWN = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser("test", help="send a test message now, and say what came of it")
    test.add_argument("target", nargs="*", metavar="TARGET", help="names in notify.toml; none: all")
    listing = actions.add_parser("list", help="what waits to be told, and what was given up")
    listing.add_argument("--all", action="store_true", help="what was told, too")
    listing.add_argument(
        "--limit", type=numbers.whole, default=_SHOWN, metavar="N", help=f"the newest; default: {_SHOWN}"
    )
    actions.add_parser("send-due", help="tell what was not told yet")
    retry = actions.add_parser("retry", help="try once more what was given up, and at once what waits")
    retry.add_argument("target", nargs="?", metavar="TARGET", help="only this one")
    for one in actions.choices.values():
        one.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one of the actions; exits with 16 if a test message was not taken, or one was given up."""
    if args.action == "test":
        return _test(args, settings)
    actions: dict[str, Callable[[argparse.Namespace, Settings, Ledger], int]] = {
        "list": _list,
        "send-due": _send_due,
        "retry": _retry,
    }
    from farm.store import home
    from farm.store.ledger import Ledger

    home.prepare(settings.home)
    with Ledger.open(settings.ledger) as ledger:
        return actions[args.action](args, settings, ledger)


def _test(args: argparse.Namespace, settings: Settings) -> int:
    import uuid
    from datetime import UTC, datetime

    from farm.notify import config, message, outbox

    loaded = config.load(settings.notify)
    _known(args.target, loaded, settings)
    rows: dict[str, str] = {}
    for name in args.target or loaded.targets:
        what = message.test(uuid.uuid4().hex, datetime.now(UTC).isoformat(), name)
        try:
            outbox.send(loaded.targets[name], what)
        except FarmError as error:
            rows[name] = str(error)
        else:
            rows[name] = ""
    if args.json:
        print_json([{"target": name, "taken": not error, "error": error} for name, error in rows.items()])
    elif not rows:
        print(f"{settings.notify} names no targets")
    for name, said in rows.items():
        if not args.json:
            print(f"{name}: {said or 'was told'}")
    return NotifyError.exit_code if any(rows.values()) else 0


def _known(names: list[str], loaded: Config, settings: Settings) -> None:
    """Raise UsageError if one of them is no target."""
    if unknown := [name for name in names if name not in loaded.targets]:
        there = ", ".join(loaded.targets) or "none"
        raise UsageError(f"there is no target {unknown[0]!r}", where=str(settings.notify), fix=f"there are: {there}")


def _list(args: argparse.Namespace, settings: Settings, ledger: Ledger) -> int:
    from farm.model.happening import DeliveryState
    from farm.notify import config

    if args.limit < 1:
        raise UsageError(f"{args.limit} is no number of messages", where="--limit", fix="give 1 or more")
    if settings.notify.exists():
        loaded = config.load(settings.notify)
        ledger.route(tuple(loaded.targets), loaded.wants)
    states = () if args.all else (DeliveryState.WAITING, DeliveryState.GIVEN_UP)
    found = ledger.delivery_list(*states, limit=args.limit)
    if args.json:
        print_json([_document(one) for one in found])
        return 0
    if not found:
        print("nobody was told anything yet" if args.all else "nothing waits, nothing was given up")
    rows = [
        [
            f"{one.happening.at:%Y-%m-%d %H:%M} UTC",
            one.happening.kind.value,
            f"cascade {one.happening.cascade}" if one.happening.cascade else one.happening.key[:12],
            one.target,
            one.state.value,
            str(one.attempts),
            _when(one),
            one.error.partition("\n")[0],
        ]
        for one in found
    ]
    print_table(["happened", "what", "to", "target", "state", "tries", "next try", "why"], rows)
    return 0


def _send_due(args: argparse.Namespace, settings: Settings, ledger: Ledger) -> int:
    from farm.notify import config, outbox

    told = outbox.send_due(ledger, config.load(settings.notify))
    if args.json:
        rows = [(one, "given up" if one.is_last else "failed" if one.error else "sent") for one in told]
        print_json([_document(one.delivery) | {"state": state, "error": one.error} for one, state in rows])
    else:
        sent = sum(not one.error for one in told)
        later = sum(bool(one.error) and not one.is_last for one in told)
        print(f"{counted(sent, 'message')} sent, {later} tried again later, {len(told) - sent - later} given up")
        for one in told:
            if one.error:
                print(f"  {one.delivery.target}: {one.delivery.happening.kind}: {one.error}")
    return NotifyError.exit_code if any(one.is_last for one in told) else 0


def _retry(args: argparse.Namespace, settings: Settings, ledger: Ledger) -> int:
    from farm.notify import config

    _known([args.target] if args.target else [], config.load(settings.notify), settings)
    count = ledger.retry_deliveries(args.target or "")
    if not args.json:
        print(f"{counted(count, 'message')} to be tried")
    return _send_due(args, settings, ledger)


def _when(delivery: Delivery) -> str:
    from farm.model.happening import DeliveryState

    if delivery.state is not DeliveryState.WAITING:
        return ""
    return "now" if delivery.next_try <= 0 else f"in {human_seconds(delivery.next_try)}"


def _document(delivery: Delivery) -> dict[str, Any]:
    """A delivery for programs; times are ISO 8601 in UTC, `next_try` is in seconds from now."""
    it = delivery.happening
    return {
        "id": it.uid,
        "event": it.kind.value,
        "at": it.at.isoformat(),
        "cascade": it.cascade,
        "key": it.key or None,
        "why": it.text,
        "target": delivery.target,
        "state": delivery.state.value,
        "tries": delivery.attempts,
        "next_try": max(0.0, round(delivery.next_try, 1)) if delivery.state.value == "waiting" else None,
        "sent": delivery.sent.isoformat() if delivery.sent else None,
        "error": delivery.error,
    }
