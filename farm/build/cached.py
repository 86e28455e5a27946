"""Names in the user's cache of what the pins of catalogs stand for: toolchains, SDKs, sysroots, packages, downloads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from farm.build import pyenv, pysdk, pysdk_interpreter, toolchain
from farm.catalog import Catalog
from farm.errors import MissingToolError, SourceError
from farm.settings import Settings
from farm.store.caches import Cache
from farm.store.keeping import lock_of
from farm.sysroot.place import place as place_of

_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


def caches(catalogs: Sequence[Catalog], settings: Settings) -> tuple[Cache, ...]:
    """The directories of the cache with what any of the catalogs names in them."""
    places = [place_of(pinned, settings) for catalog in catalogs for pinned in catalog.sysroots.values()]
    chains = [chain for catalog in catalogs for chain in catalog.toolchains.values()]
    sdks = {name for catalog in catalogs for name in _sdks(catalog)}
    return (
        Cache(
            kind="toolchain",
            place=settings.cache / "toolchains",
            named=frozenset[str]().union(*map(toolchain.directories, chains)),
            lock=_toolchain_lock,
        ),
        Cache(
            kind="Python SDK",
            place=settings.cache / "sdk",
            named=sdks | {pysdk_interpreter.directory(place) for place in places},
        ),
        Cache(
            kind="package set",
            place=settings.cache / "python-build",
            named={name for catalog in catalogs for name in _packages(catalog)},
        ),
        Cache(kind="sysroot", place=settings.cache / "sysroots", named={place.name for place in places}),
    )


def downloads(catalogs: Sequence[Catalog]) -> frozenset[str]:
    """The sha256 of every file that any of the catalogs names, for whatever purpose."""
    models = (
        model
        for catalog in catalogs
        for model in (
            *(loaded.recipe for loaded in catalog.recipes.values()),
            *catalog.toolchains.values(),
            *catalog.sysroots.values(),
            *catalog.pythons.values(),
        )
    )
    return frozenset(found for model in models for found in _SHA256.findall(model.model_dump_json()))


def _toolchain_lock(place: Path) -> Path:
    return lock_of(place.with_name(toolchain.base_of(place.name)))


def _sdks(catalog: Catalog) -> Iterator[str]:
    for tag in catalog.pythons:
        for platform in catalog.toolchains.values():
            with contextlib.suppress(MissingToolError, SourceError):  # no such Python for the platform
                yield pysdk.directory(tag, platform, pysdk.digest(tag, platform, catalog))


def _packages(catalog: Catalog) -> Iterator[str]:
    locks = [(r.directory, r.recipe.requires.python) for r in catalog.recipes.values() if r.recipe.requires.python]
    for folder, lock in locks:
        yield from (pyenv.directory(folder / str(lock), tag) for tag in catalog.pythons)
