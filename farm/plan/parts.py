"""What recipes give to the keys of their steps, for releases and platforms. Pure but for reading files' digests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan import compose, keys
from farm.plan.effective import matching_rows, matching_variants, merged
from farm.plan.entry import Part
from farm.plan.epochs import epoch_of, older_in_epoch
from farm.plan.values import RecipeValues


def part(values: RecipeValues, release: Release, platforms: Sequence[str]) -> Part:
    """The part of a release; `platforms` are those of the lanes.

    Platforms that match the same `[[when]]` rows and variants share a digest; a recipe's are computed once.
    """
    plain = values.entry.plain
    if plain is not None:
        return plain
    recipe = values.recipe
    older = older_in_epoch(recipe, release.version) if len(recipe.release) > 1 and recipe.abi is not None else ()
    pinned = values.pinned_abis(older) if older else ()
    if not (recipe.when or recipe.variant):
        return values.once((release.version, pinned), partial(_shared, values, release, older, pinned))
    abi = _abi(recipe, release, older, pinned)
    heads = []
    for platform in platforms:
        matching = (matching_rows(recipe, release, platform), matching_variants(recipe, platform))
        heads.append(values.once((release.version, pinned, matching), partial(_head, values, release, platform, abi)))
    return Part(tuple(heads), abi)


def _shared(values: RecipeValues, release: Release, older: tuple[str, ...], pinned: tuple[str, ...]) -> Part:
    abi = _abi(values.recipe, release, older, pinned)
    return Part((_head(values, release, "", abi),), abi)


def _head(values: RecipeValues, release: Release, platform: str, abi: keys.ReleaseAbi | None) -> bytes:
    effective = merged(values.recipe, release, platform)
    return compose.head(keys.recipe_digest(values.recipe, release, effective, values.file_digest, abi=abi))


def _abi(recipe: Recipe, release: Release, older: tuple[str, ...], pinned: tuple[str, ...]) -> keys.ReleaseAbi | None:
    if recipe.abi is None:
        return None
    # As `farm.abi.introduced` has it: what is not pinned tells nothing.
    known = (version for version in older if any(name.startswith(f"abi/{version}/") for name in pinned))
    baseline = next(known, release.version)
    return keys.ReleaseAbi(epoch=epoch_of(recipe, release.version), baseline=baseline, pinned=pinned)
