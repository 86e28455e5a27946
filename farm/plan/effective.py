"""A recipe as it is for one platform: its `[[when]]` rows applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from farm.model.recipe import Build, Recipe, Release, Variant, When


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What is really built for a platform. `impossible` is the recipe's reason why not, else empty.

    `patches` are the names below ``patches/`` in the order they are applied, the release's own first.
    """

    build: Build
    patches: tuple[str, ...]
    tools: tuple[str, ...]
    variants: tuple[Variant, ...]
    impossible: str = ""


def matches(platform: str, globs: Iterable[str]) -> bool:
    """Whether a platform tag matches one of the globs."""
    return any(platform == glob or fnmatchcase(platform, glob) for glob in globs)


def matching_rows(recipe: Recipe, platform: str) -> tuple[int, ...]:
    """The indexes of the `[[when]]` rows for a platform."""
    return tuple(i for i, row in enumerate(recipe.when) if matches(platform, row.platform))


def matching_variants(recipe: Recipe, platform: str) -> tuple[int, ...]:
    """The indexes of the `[[variant]]` tables for a platform."""
    return tuple(i for i, variant in enumerate(recipe.variant) if matches(platform, variant.platform))


def impossible(recipe: Recipe, platform: str) -> str:
    """The recipe's reason why it cannot be built for a platform, or an empty string."""
    for row in recipe.when:
        if row.impossible and matches(platform, row.platform):
            return row.impossible
    return ""


def merged(recipe: Recipe, release: Release, platform: str) -> Effective:
    """The recipe's build for a platform: rows append to lists in the order written and override environment names."""
    rows = [recipe.when[i] for i in matching_rows(recipe, platform)]
    return Effective(
        build=_merged_build(recipe.build, rows) if rows else recipe.build,
        patches=(*release.patches, *(p for row in rows for p in row.patches)),
        tools=(*recipe.requires.tools, *(t for row in rows for t in row.tools)),
        variants=tuple(recipe.variant[i] for i in matching_variants(recipe, platform)),
        impossible=next((row.impossible for row in rows if row.impossible), ""),
    )


def _merged_build(build: Build, rows: list[When]) -> Build:
    env = dict(build.env)
    for row in rows:
        env.update(row.env)
    return build.model_copy(
        update={
            "args": (*build.args, *(a for row in rows for a in row.args)),
            "make": (*build.make, *(a for row in rows for a in row.make)),
            "cflags": (*build.cflags, *(a for row in rows for a in row.cflags)),
            "ldflags": (*build.ldflags, *(a for row in rows for a in row.ldflags)),
            "env": env,
        }
    )
