"""Telling what happened at the end of a verb, so that nobody needs a timer to hear of it. No verb fails for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.store.ledger import Ledger

_log = logging.getLogger(__name__)


def tell(ledger: Ledger, settings: Settings) -> None:
    """Send what is due, if the farm has a `notify.toml`. What cannot be sent now is sent by a later verb."""
    if not settings.notify.exists():
        return
    from farm.errors import FarmError
    from farm.notify import config, outbox

    try:
        outbox.send_due(ledger, config.load(settings.notify))
    except FarmError as error:
        _log.warning("nobody was told of what happened: %s", error)


def tell_from(settings: Settings) -> None:
    """The same, with a ledger of its own."""
    if not settings.notify.exists():
        return
    from farm.cli import history

    with history.ledger_if_any(settings) as ledger:
        if ledger is not None:
            tell(ledger, settings)
