"""From what happened to who was told. Any process may call `send_due`, at any time, and be killed at any time.

What is sent is decided at the first try and kept, so that every try says the same under the same id. A try is written
down before it is made: after `kill -9` in between it is made again when its pause is over, so that a receiver may hear
twice of it, under one id, but never not at all.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from farm.errors import FarmError, MissingToolError, NotifyError, StoreError
from farm.log import about
from farm.notify import mail, message, webhook
from farm.notify.config import Config, Email, Webhook

if TYPE_CHECKING:
    from farm.model.happening import Delivery
    from farm.notify.message import Message
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 60.0  # seconds; doubled each time. Longer than any one try takes
_LONGEST_PAUSE = 4 * 3600.0
_AT_ONCE = 200  # deliveries that are read together

Send = Callable[[Webhook | Email, "Message"], None]
"""Sends a message to a target. Raises NotifyError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a try to tell somebody came to: `error` is empty if it was taken; `is_last` if it is not tried again."""

    delivery: Delivery
    error: str = ""
    is_last: bool = False


def send(target: Webhook | Email, what: Message) -> None:
    """Send a message now. Raises NotifyError, MissingToolError."""
    if isinstance(target, Webhook):
        webhook.send(target, what, int(time.time()))
    else:
        mail.send(target, what, datetime.now(UTC))


def send_due(ledger: Ledger, config: Config, *, post: Send = send) -> tuple[Told, ...]:
    """Tell the targets what they have not been told yet. A target that fails is left alone until its pause is over, and
    keeps nobody from the others. Raises StoreError."""
    targets = config.targets
    ledger.route(tuple(targets), config.wants)
    told: list[Told] = []
    silent: set[str] = set()
    while due := ledger.due_deliveries(_AT_ONCE, but=silent):
        for delivery in due:
            if delivery.target in silent:
                continue
            result = _tell(ledger, config, delivery, post)
            if result is None:
                silent.add(delivery.target)  # another process is telling it
                continue
            told.append(result)
            if result.error and not result.is_last:
                silent.add(delivery.target)
    ledger.forget_happenings()
    return tuple(told)


def pause(attempts: int) -> float:
    """Seconds before the next try, after so many: a minute, doubled each time, up to four hours, and up to a quarter
    more so that many farms do not come back at once."""
    return float(min(_FIRST_PAUSE * 2.0**attempts, _LONGEST_PAUSE) * random.uniform(1.0, 1.25))  # noqa: S311


def _tell(ledger: Ledger, config: Config, delivery: Delivery, post: Send) -> Told | None:
    target = config.targets.get(delivery.target)
    with about(cascade=delivery.happening.cascade or 0):
        try:
            what = _message(ledger, delivery)
        except StoreError:
            raise
        except FarmError as error:  # what it was about is gone
            return _end(ledger, delivery, str(error), is_last=True)
        if not ledger.claim_delivery(delivery, message.body_of(what), pause(delivery.attempts)):
            return None
        if target is None:
            return _end(ledger, delivery, f"there is no target {delivery.target!r} any more", is_last=True)
        try:
            post(target, what)
        except (NotifyError, MissingToolError) as error:
            is_last = delivery.attempts + 1 >= config.attempts or not getattr(error, "retryable", True)
            return _end(ledger, delivery, str(error), is_last=is_last)
        return _end(ledger, delivery, "")


def _message(ledger: Ledger, delivery: Delivery) -> Message:
    return message.from_body(delivery.body) if delivery.body else message.of(delivery.happening, ledger)


def _end(ledger: Ledger, delivery: Delivery, error: str, *, is_last: bool = False) -> Told:
    ledger.end_delivery(delivery, error=error, is_last=is_last)
    if error:
        what = "is given up" if is_last else "is tried again later"
        _log.warning("%s for %s %s: %s", delivery.happening.kind, delivery.target, what, error.partition("\n")[0])
    return Told(delivery=delivery, error=error, is_last=is_last)
