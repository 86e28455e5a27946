"""Which recipes are due: pure, so that plain cron, celery beat and tests ask the same question.

A recipe is due if its time came since it was last done. Times that nobody was there for count once, not once each.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from farm.catalog import cron
from farm.model.recipe import Recipe


def due(recipes: Mapping[str, str], last: Mapping[str, datetime], now: datetime) -> tuple[str, ...]:
    """The names of the recipes whose time has come, in the order given.

    `recipes` maps names to times in cron form (`watching`, `rebuilding`), `last` to when each was last done. What was
    never done is due, and so is what was done later than `now`: then a clock was wrong, and waiting for that day would
    be waiting for ever. Moments are aware datetimes.
    """
    return tuple(name for name, form in recipes.items() if _is_due(form, last.get(name), now))


def _is_due(form: str, last: datetime | None, now: datetime) -> bool:
    return last is None or last > now or cron.next_after(form, last) <= now


def watching(recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """When upstream is looked at, for the recipes that are watched: ``[watch] schedule``."""
    return {name: recipe.watch.schedule for name, recipe in recipes.items() if recipe.watch is not None}


def rebuilding(recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """When what waits is rolled out, for the recipes that say so: ``[rebuild] schedule``."""
    return {name: recipe.rebuild.schedule for name, recipe in recipes.items() if recipe.rebuild is not None}
