"""When a recipe is looked at though nobody asks: `[watch]`, `[rebuild]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from farm.model.base import Frozen


class Watch(Frozen):
    """Where new releases appear."""

    kind: Literal["page", "debian", "pypi"] = Field(
        description="a web page with names of archives, a Debian source package, or a project of the package index"
    )
    at: str = Field(description="the page's URL, or the name of the package or project")
    pattern: str = Field(
        default="",
        description="regular expression of an archive's name on the page; its group `version`, or the first one, is "
        "the version",
    )
    prereleases: bool = Field(default=False, description="alphas, betas and release candidates are releases, too")
    schedule: str = Field(
        default="0 5 * * *",
        max_length=100,
        description="when `farm watch --due` looks, in cron form (minute hour day month weekday), UTC",
    )


class Rebuild(Frozen):
    """When what waits is rolled out although nobody asks."""

    schedule: str = Field(
        max_length=100,
        description="when scheduled runs build, test and publish all that changed since, in cron form (minute hour day "
        "month weekday), UTC",
    )
