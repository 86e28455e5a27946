"""A recipe as it is for one platform and one of its releases: its `[[when]]` rows applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from farm.model.recipe import Build, Recipe, When
from farm.model.recipe_product import LibraryProduct, Products, Variant
from farm.model.recipe_source import Release
from farm.plan.requirements import bound, parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What is really built of a release for a platform. `impossible` is the recipe's reason why not, else empty.

    `patches` are the names below ``patches/`` in the order they are applied, the release's own first.
    """

    build: Build
    products: Products
    patches: tuple[str, ...]
    tools: tuple[str, ...]
    variants: tuple[Variant, ...]
    impossible: str = ""


def matches(platform: str, globs: Iterable[str]) -> bool:
    """Whether a platform tag matches one of the globs."""
    return any(platform == glob or fnmatchcase(platform, glob) for glob in globs)


def matching_rows(recipe: Recipe, release: Release, platform: str) -> tuple[int, ...]:
    """The indexes of the `[[when]]` rows for a release on a platform."""
    return tuple(i for i, row in enumerate(recipe.when) if matches(platform, row.platform) and _is_for(release, row))


def _is_for(release: Release, row: When) -> bool:
    return not row.release or bound(row.release).contains(parse_version(release.version), prereleases=True)


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
    """The build of a release for a platform: rows append to lists in the order written and override names of `env`."""
    if not (recipe.when or recipe.variant):
        return Effective(
            build=recipe.build,
            products=recipe.products,
            patches=release.patches,
            tools=recipe.requires.tools,
            variants=(),
        )
    rows = [recipe.when[i] for i in matching_rows(recipe, release, platform)]
    return Effective(
        build=_merged_build(recipe.build, rows) if rows else recipe.build,
        products=_merged_products(recipe.products, rows),
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
            "in_tree": build.in_tree or any(row.in_tree for row in rows),
        }
    )


def _merged_products(products: Products, rows: list[When]) -> Products:
    if not any(row.exports or row.lacks for row in rows):
        return products
    libraries = tuple(
        library.model_copy(update={"exports": _merged_exports(library, rows)}) for library in products.library
    )
    return products.model_copy(update={"library": libraries})


def _merged_exports(library: LibraryProduct, rows: list[When]) -> tuple[str, ...]:
    added = (name for row in rows for name in row.exports.get(library.name, ()))
    lacking = {name for row in rows for name in row.lacks.get(library.name, ())}
    return tuple(name for name in (*library.exports, *added) if name not in lacking)
