"""From the words of who asks (names, releases, globs, versions) to what the catalog calls by them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from farm.errors import PlanError, UsageError
from farm.model.recipe import Recipe, Release
from farm.plan.effective import matches
from farm.plan.values import CatalogValues

_PYTHON = re.compile(r"(?:cp)?(\d)\.?(\d+)")


def python_tag(text: str) -> str:
    """``3.11`` or ``cp311`` as wheels spell it. Raises UsageError."""
    match = _PYTHON.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a Python version", where="--python", fix="write it like 3.11")
    return f"cp{match[1]}{match[2]}"


def wanted_recipes(catalog: CatalogValues, wanted: Iterable[str]) -> dict[str, Release | None]:
    """Recipe names, sorted, with the one release asked for or None for the newest; nothing asked for means all.

    Raises UsageError for a recipe or release that is not in the catalog.
    """
    asked: dict[str, Release | None] = {}
    for text in wanted:
        name, _, version = text.partition("@")
        provider = catalog.providers.get(name)
        if provider is None:
            raise UsageError(f"there is no recipe {name!r}{_close(name, catalog.providers)}", fix="`farm recipe list`")
        asked[provider] = _release(catalog.recipes[provider].recipe, version) if version else None
    return dict(sorted(asked.items())) if asked else dict.fromkeys(sorted(catalog.recipes))


def _release(recipe: Recipe, version: str) -> Release:
    for release in recipe.release:
        if release.version == version:
            return release
    there = ", ".join(release.version for release in recipe.release)
    raise UsageError(f"{recipe.name} has no release {version!r}", fix=f"its releases are {there}")


def wanted_platforms(catalog: CatalogValues, wanted: Iterable[str]) -> list[str]:
    """The platforms that match one of the globs, sorted; no glob means all.

    Raises UsageError for a glob that no platform matches, PlanError for a catalog without toolchains.
    """
    toolchains = catalog.toolchains
    if not toolchains:
        raise PlanError("the catalog has no toolchain", where="toolchains/", fix="add a toolchain file")
    chosen: set[str] = set()
    globs = list(wanted)
    for glob in globs:
        found = [platform for platform in toolchains if matches(platform, (glob,))]
        if not found:
            raise UsageError(
                f"there is no platform {glob!r}{_close(glob, toolchains)}", fix="`farm toolchain list` shows them"
            )
        chosen.update(found)
    return sorted(chosen if globs else toolchains)


def _close(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
