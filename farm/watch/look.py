"""Looks at the upstreams of recipes, and compares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from packaging.version import Version

from farm.model.recipe import Recipe
from farm.model.recipe_upkeep import Watch
from farm.watch.debian import Debian
from farm.watch.page import Page
from farm.watch.pypi import Pypi
from farm.watch.values import Answer, Asking, Offer, Sighting, Silence, State, Upstream

KINDS: Mapping[str, Upstream] = {"page": Page(), "debian": Debian(), "pypi": Pypi()}


def look(recipes: Iterable[Recipe], asking: Asking, now: datetime, *, prereleases: bool = False) -> list[Sighting]:
    """What upstream has of each recipe, in the order given.

    Every place is asked once. One that does not answer makes a sighting that says why, and keeps nobody from the
    others. `prereleases` takes alphas, betas and release candidates of recipes that do not ask for them, too.
    """
    wanted = list(recipes)
    answers = ask([recipe.watch for recipe in wanted if recipe.watch is not None], asking)
    return [_sighting(recipe, answers, now, prereleases) for recipe in wanted]


def ask(watches: Iterable[Watch], asking: Asking) -> dict[Watch, Answer]:
    """What is seen at each place."""
    kinds: defaultdict[str, list[Watch]] = defaultdict(list)
    for watch in dict.fromkeys(watches):
        kinds[watch.kind].append(watch)
    answers: dict[Watch, Answer] = {}
    for kind, places in kinds.items():
        answers.update(KINDS[kind].ask(places, asking))
    return answers


def _sighting(recipe: Recipe, answers: Mapping[Watch, Answer], now: datetime, prereleases: bool) -> Sighting:
    here = recipe.current.version
    if recipe.watch is None:
        return Sighting(recipe=recipe.name, here=here, upstream="", state=State.UNWATCHED, checked=None)
    answer = answers[recipe.watch]
    if isinstance(answer, Silence):
        return _nothing(recipe, answer, now)
    offers = eligible(recipe, answer, prereleases=prereleases)
    if not offers:
        why = f"there are only prereleases: {', '.join(offer.text for offer in answer[-3:])}"
        return _nothing(recipe, Silence(why=why, reached=True), now)
    newer = tuple(str(offer.version) for offer in offers if offer.version > Version(here))
    return Sighting(
        recipe=recipe.name,
        here=here,
        upstream=str(offers[-1].version),
        newer=newer,
        state=state_of(here, str(offers[-1].version)),
        checked=now,
    )


def eligible(recipe: Recipe, offers: Iterable[Offer], *, prereleases: bool) -> list[Offer]:
    """The offers that count for a recipe: prereleases only if it, its newest release or the caller asks for them."""
    takes_all = prereleases or Version(recipe.current.version).is_prerelease
    takes_all = takes_all or (recipe.watch is not None and recipe.watch.prereleases)
    return [offer for offer in offers if takes_all or not offer.version.is_prerelease]


def _nothing(recipe: Recipe, silence: Silence, now: datetime) -> Sighting:
    state = State.NOTHING if silence.reached else State.SILENT
    why = "; ".join(line.strip() for line in silence.why.splitlines() if line.strip())
    return Sighting(recipe=recipe.name, here=recipe.current.version, upstream="", state=state, checked=now, why=why)


def state_of(here: str, upstream: str) -> State:
    """How two versions compare."""
    ours, theirs = Version(here), Version(upstream)
    return State.CURRENT if ours == theirs else State.NEWER if theirs > ours else State.BEHIND
