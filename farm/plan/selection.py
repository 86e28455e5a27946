"""From the words of who asks (names, releases, globs, versions) to what the catalog calls by them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from farm.errors import PlanError, UsageError
from farm.model.plan import Step
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan.effective import matches
from farm.plan.requirements import parse_host
from farm.plan.values import CatalogValues, RecipeValues

_PYTHON = re.compile(r"(?:cp)?(\d)\.?(\d+)")


def python_tag(text: str) -> str:
    """``3.11`` or ``cp311`` as wheels spell it. Raises UsageError."""
    match = _PYTHON.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a Python version", where="--python", fix="write it like 3.11")
    return f"cp{match[1]}{match[2]}"


def wanted_recipes(catalog: CatalogValues, wanted: Iterable[str]) -> dict[str, Release | None]:
    """Recipe names, sorted, with the one release asked for or None for the newest; nothing asked for means all.
    Dependents that others need when they run are asked for with them.

    Raises UsageError for a recipe or release that is not in the catalog.
    """
    asked: dict[str, Release | None] = {}
    for text in wanted:
        name, at, version = text.partition("@")
        if at and not version:
            raise UsageError(f"{text!r} names no release after the @", fix=f"write {name}@VERSION, or {name} alone")
        provider = catalog.providers.get(name)
        if provider is None:
            raise UsageError(f"there is no recipe {name!r}{_close(name, catalog.providers)}", fix="`farm recipe list`")
        asked[provider] = _release(catalog.recipes[provider].recipe, version) if version else None
    if not asked:
        return dict.fromkeys(sorted(catalog.recipes))
    for name in needed_to_run(asked, lambda name: catalog.recipes[name].recipe):
        asked.setdefault(name, None)
    return dict(sorted(asked.items()))


def needed_to_run(names: Iterable[str], recipe: Callable[[str], Recipe]) -> tuple[str, ...]:
    """The dependents that some recipes need when they run, directly or not, but for the recipes themselves."""
    found = dict.fromkeys(names)
    asked = frozenset(found)
    waiting = list(found)
    for name in waiting:  # grows while it is read
        new = [other for other in recipe(name).requires.dependents if other not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return tuple(name for name in found if name not in asked)


def with_dependents(catalog: CatalogValues, recipes: Iterable[str]) -> tuple[str, ...]:
    """Recipes by name and all that is built against them, directly or not, sorted; none stays none."""
    found = dict.fromkeys(recipes)
    if not found:
        return ()
    behind: dict[str, list[str]] = {}
    for name, values in catalog.recipes.items():
        for needed in values.recipe.requires.host:
            behind.setdefault(catalog.providers.get(parse_host(needed).name, ""), []).append(name)
    queue = list(found)
    for name in queue:  # grows while it is read
        new = [other for other in behind.get(name, ()) if other not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return tuple(sorted(found))


def ids_beside(step: Step, recipes: Mapping[str, RecipeValues]) -> tuple[str, ...]:
    """The ids of the steps of what a dependent's step needs when it runs: the newest releases."""
    if step.kind == "library":
        return ()
    others = [recipes[name].recipe for name in needed_to_run([step.recipe], lambda name: recipes[name].recipe)]
    return tuple(
        f"{other.name}@{other.current.version}/{step.platform}/{other.build.abi3 or step.python}" for other in others
    )


def _release(recipe: Recipe, version: str) -> Release:
    for release in recipe.release:
        if release.version == version:
            return release
    there = ", ".join(release.version for release in recipe.release)
    if version in [release.version for release in recipe.retired]:
        raise UsageError(
            f"{recipe.name} {version} is retired: nothing is built against it, and it is not offered",
            fix=f"`farm abi` measures it; the releases are {there}",
        )
    gone = "".join(f", retired {release.version}" for release in recipe.retired)
    raise UsageError(f"{recipe.name} has no release {version!r}", fix=f"its releases are {there}{gone}")


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
