"""The catalog as it was before a bump and as it is after it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion

from farm.catalog.retired import revived, with_releases
from farm.catalog.values import Catalog
from farm.errors import UsageError
from farm.model.plan import Impossible, Plan
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan.epochs import epoch_of
from farm.plan.requirements import oldest_first, parse_host, parse_version

Planner = Callable[[Catalog, Sequence[str]], Plan]
"""Plans recipes of a catalog, by name; none means all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bump:
    """A recipe gets a release. `known` is False if the recipe does not have it yet: then it is a copy of the newest
    one, of which neither the sources nor the ABI are known."""

    recipe: str
    version: str
    known: bool


def with_predecessor(text: str, catalog: Catalog) -> Catalog:
    """The catalog that ``gmp=6.3.0`` can be asked of: with gmp's retired releases as if they were not, if no other is
    older than 6.3.0."""
    name, _, version = text.partition("=")
    loaded = catalog.recipes.get(catalog.providers.get(name.strip(), ""))
    try:
        asked = parse_version(version.strip())
    except InvalidVersion:
        return catalog
    if loaded is None or any(parse_version(release.version) < asked for release in loaded.recipe.release):
        return catalog
    older = any(parse_version(release.version) < asked for release in loaded.recipe.retired)
    return revived(catalog, [loaded.recipe.name]) if older else catalog


def parse_bumps(texts: Sequence[str], catalog: Catalog) -> list[Bump]:
    """As `parse_bump`, of several recipes. Raises UsageError as that does, and for a recipe that is named twice."""
    bumps = [parse_bump(text, catalog) for text in texts]
    names = Counter(bump.recipe for bump in bumps)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UsageError(
            f"{twice[0]} is named twice", where="--bump", fix="name each recipe once, with its newest release"
        )
    return bumps


def parse_bump(text: str, catalog: Catalog) -> Bump:
    """``gmp=6.3.0``. Raises UsageError for a recipe that is not there, and for a version that is none, has no release
    before it, or is unknown and older than the newest release."""
    name, equals, version = text.partition("=")
    provider = catalog.providers.get(name.strip())
    if not equals or provider is None:
        why = f"there is no recipe {name!r}" if equals else f"{text!r} is not NAME=VERSION"
        raise UsageError(why, where="--bump", fix="write it like `--bump gmp=6.3.0`; `farm recipe list` has the names")
    recipe = catalog.recipes[provider].recipe
    try:
        asked = parse_version(version.strip())
    except InvalidVersion:
        raise UsageError(f"{version!r} is not a PEP 440 version", where="--bump", fix="write it like 6.3.0") from None
    releases, gone = oldest_first(recipe), "".join(f", retired {release.version}" for release in recipe.retired)
    same = [release.version for release in releases if parse_version(release.version) == asked]
    there = ", ".join(release.version for release in releases) + gone
    if not any(parse_version(release.version) < asked for release in releases):
        raise UsageError(
            f"{provider} has no release before {version}, so nothing says what changes (it has {there})",
            where="--bump",
            fix="retired releases count for `farm plan --bump` alone: name a newer version; "
            f"`farm recipe bump {provider}` adds upstream's newest"
            if gone
            else "name a newer version, or add the release before to the recipe",
        )
    if not same and asked < parse_version(releases[-1].version):
        raise UsageError(
            f"{provider} has no release {version}, and it is older than its newest (it has {there})",
            where="--bump",
            fix="name one of these, or a newer version",
        )
    return Bump(recipe=provider, version=same[0] if same else str(asked), known=bool(same))


def before(catalog: Catalog, bumps: Iterable[Bump]) -> Catalog:
    """Without the bumped releases and all newer ones."""

    def older(recipe: Recipe, bump: Bump) -> tuple[Release, ...]:
        return tuple(r for r in recipe.release if parse_version(r.version) < parse_version(bump.version))

    return with_releases(catalog, {bump.recipe: older(catalog.recipes[bump.recipe].recipe, bump) for bump in bumps})


def after(catalog: Catalog, bumps: Iterable[Bump], *, breaking: bool = False) -> Catalog:
    """With the bumped releases as the newest ones. `breaking`: those that are not known begin an ABI epoch."""

    def up_to(recipe: Recipe, bump: Bump) -> tuple[Release, ...]:
        found = tuple(r for r in recipe.release if parse_version(r.version) <= parse_version(bump.version))
        return found if bump.known else (*found, _imagined(recipe, bump, breaking=breaking))

    return with_releases(catalog, {bump.recipe: up_to(catalog.recipes[bump.recipe].recipe, bump) for bump in bumps})


def plans(
    catalog: Catalog, bumps: Sequence[Bump], make: Planner, recipes: Sequence[str] = (), *, breaking: bool = False
) -> tuple[Plan, Plan]:
    """The plans before and after. `recipes` limits both to these, the bumped ones and all that they need; none: all.

    What could not be built before, because it requires the bumped release, is impossible in the first plan. Raises
    PlanError, UsageError as the planner does.
    """
    old = before(catalog, bumps)
    unmet = _unmet(old)
    asked = [*recipes, *(bump.recipe for bump in bumps)] if recipes else list(catalog.recipes)
    then = _possible(old, asked, unmet)
    was, now = make(old, then) if then else Plan(steps=()), make(after(catalog, bumps, breaking=breaking), asked)
    platforms = dict.fromkeys((step.recipe, step.platform) for step in now.steps if step.recipe in unmet)
    rows = (Impossible(recipe=recipe, platform=platform, reason=unmet[recipe]) for recipe, platform in platforms)
    return replace(was, impossible=(*was.impossible, *rows)), now


def _possible(catalog: Catalog, asked: Sequence[str], unmet: Collection[str]) -> list[str]:
    """What of `asked` can be built, and instead of the rest what that needs."""
    found = list(dict.fromkeys(asked))
    for name in found:  # grows while it is read
        recipe = catalog.providers.get(name.partition("@")[0], name)
        if recipe in unmet:
            hosts = (parse_host(text).name for text in catalog.recipes[recipe].recipe.requires.host)
            found += [host for host in hosts if host not in found]
    return [name for name in found if catalog.providers.get(name.partition("@")[0], name) not in unmet]


def _unmet(catalog: Catalog) -> dict[str, str]:
    """The recipes that cannot be built, each with the requirement that no release meets, in words."""
    found: dict[str, str] = {}
    left = set(catalog.recipes)
    while lost := {name: why for name in left if (why := next(_lacks(catalog, name, left), ""))}:
        found.update(lost)
        left -= lost.keys()
    return found


def _lacks(catalog: Catalog, name: str, possible: set[str]) -> Iterator[str]:
    for text in catalog.recipes[name].recipe.requires.host:
        requirement = parse_host(text)
        provider = catalog.providers.get(requirement.name, requirement.name)
        releases = catalog.recipes[provider].recipe.release if provider in catalog.recipes else ()
        if not any(requirement.meets(release.version) for release in releases):
            yield f"no release of {provider} was {text}"
        elif provider not in possible:
            yield f"neither could {provider}"


def _imagined(recipe: Recipe, bump: Bump, *, breaking: bool) -> Release:
    newest = oldest_first(recipe)[-1]
    changes: dict[str, object] = {"version": bump.version, "revision": 0}
    if recipe.abi is not None and breaking:
        changes["abi_epoch"] = epoch_of(recipe, newest.version) + 1
    return newest.model_copy(update=changes)
