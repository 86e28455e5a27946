"""What must hold for `[watch]` and `[rebuild]` of a recipe. Each check yields (location, why)."""

from __future__ import annotations

import re

from farm.catalog import cron
from farm.catalog.releasecheck import Found
from farm.model.recipe import Recipe
from farm.model.recipe_upkeep import Watch

_DAILY = Watch.model_fields["schedule"].default  # what nearly all recipes have; the reader of cron forms stays away


def places(recipe: Recipe) -> Found:
    """The version is read off a group of the pattern, so a page without one tells nothing."""
    watch = recipe.watch
    if watch is None:
        return
    if watch.kind == "page" and not watch.at.startswith("https://"):
        yield ("watch", "at"), f"{watch.at!r} is not the https:// URL of a page"
    if watch.kind == "page" and not watch.pattern:
        yield ("watch", "pattern"), r"is missing: the archive's name on the page, like 'gmp-([0-9.]+)\.tar\.xz'"
    if watch.kind != "page" and watch.pattern:
        yield ("watch", "pattern"), f"is for pages: '{watch.kind}' knows the versions"
    if watch.pattern:
        try:
            groups = re.compile(watch.pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            yield ("watch", "pattern"), f"is not a regular expression: {error}"
        else:
            if not groups:
                yield ("watch", "pattern"), r"has no group for the version, like 'gmp-([0-9.]+)\.tar\.xz'"


def schedules(recipe: Recipe) -> Found:
    """Times are in cron form."""
    for table, value in (("watch", recipe.watch), ("rebuild", recipe.rebuild)):
        if value is not None and value.schedule != _DAILY and (why := cron.fault(value.schedule)):
            yield (table, "schedule"), f"{value.schedule!r} {why}"
