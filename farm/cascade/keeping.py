"""What of cascades `farm gc` keeps, and which have ended long enough ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from farm.model.cascade import ENDED, Cascade

if TYPE_CHECKING:
    from farm.store.ledger import Ledger


def frozen_in_use(ledger: Ledger) -> frozenset[str]:
    """Frozen catalogs that `farm gc` keeps: of unfinished cascades, of what each channel's last cascade brought, and of
    what was promoted while an unfinished one was at work, which may have to be planned anew on top of it."""
    every = ledger.cascades()
    unfinished = [c for c in every if c.state not in ENDED]
    first = min((c.created for c in unfinished), default=None)
    last = {c.channel: c for c in sorted(every, key=lambda c: c.promoted) if c.promoted}
    since = [c for c in every if c.promoted and first is not None and c.finished is not None and c.finished >= first]
    return frozenset(digest for c in (*unfinished, *last.values(), *since) for digest in (c.catalog, c.before))


def over_for(ledger: Ledger, days: float) -> tuple[Cascade, ...]:
    """Cascades that ended at least so many days ago."""
    try:
        then = datetime.now(UTC) - timedelta(days=days)
    except OverflowError:  # before there were calendars
        return ()
    return tuple(c for c in ledger.cascades() if c.finished is not None and c.finished <= then)
