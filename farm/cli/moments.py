"""Moments to come on the command line: when a fence is looked at again, when an overlay expires."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from farm.errors import UsageError

_DAYS = re.compile(r"(\d{1,4})d")


def to_come(text: str, where: str, now: datetime) -> datetime:
    """``2026-12-31`` (midnight, UTC unless it says otherwise) or ``90d`` (days from `now`) as a moment in UTC after
    `now`. Raises UsageError that names `where`, the option."""
    days = _DAYS.fullmatch(text)
    found = now + timedelta(days=int(days[1])) if days else _date(text, where)
    if found <= now:
        raise UsageError(f"{text} is over", where=where, fix="give a day to come")
    return found


def _date(text: str, where: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the last: in UTC it is after the year 9999, or before the first
        raise UsageError(f"{text!r} is no date", where=where, fix="write it like 2026-12-31, or 90d") from error
