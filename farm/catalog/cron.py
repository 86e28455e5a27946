"""Times in cron form: ``minute hour day month weekday``, in UTC, with the meaning of Debian's cron (crontab(5))."""

from __future__ import annotations

from datetime import UTC, datetime

_FIELDS = 5


def fault(form: str) -> str | None:
    """What is wrong with a time in cron form, as the end of a sentence; None for a good one."""
    from cronsim import CronSim, CronSimError

    if (count := len(form.split())) != _FIELDS:
        return f"is no time in cron form: it has {count} fields, not the 5 of 'minute hour day month weekday'"
    try:
        next(CronSim(form, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        text = str(error)
        return f"is no time in cron form: {text[:1].lower()}{text[1:]}"
    except StopIteration:
        return "is a time that never comes"
    return None


def next_after(form: str, moment: datetime) -> datetime:
    """The first time of a valid form that is later than a moment; both in UTC."""
    from cronsim import CronSim

    return next(CronSim(form, moment.astimezone(UTC)))
