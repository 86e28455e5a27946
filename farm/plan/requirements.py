"""Host requirements of recipes: ``gmp``, ``gmp>=6.2``, ``blas``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from farm.model import pypa
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release

_SHAPE = re.compile(r"([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\s*(.*)", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequirement:
    """A native library that is linked to: the name as written, and which of its releases will do (PEP 440)."""

    name: str
    specifier: SpecifierSet

    def meets(self, version: str) -> bool:
        """True if a release of this version will do, prereleases included."""
        return self.specifier.contains(parse_version(version), prereleases=True)

    def __str__(self) -> str:
        return f"{self.name}{self.specifier}"


@lru_cache(maxsize=65536)
def parse_host(text: str) -> HostRequirement:
    """Parse an entry of `requires.host`. Raises ValueError with a sentence."""
    shape = _SHAPE.fullmatch(text.strip())
    if not shape:
        raise ValueError(f"{text!r} is not a library name with an optional lower bound, like 'gmp>=6.2'")
    try:
        specifier = pypa.specifiers(shape[2])
    except InvalidSpecifier:
        raise ValueError(f"{text!r}: {shape[2]!r} is not a version bound, like '>=6.2'") from None
    return HostRequirement(name=shape[1], specifier=specifier)


@lru_cache(maxsize=4096)
def bound(text: str) -> SpecifierSet:
    """A bound on releases: ``>=3.0``, ``>=3.0,<4``. Raises packaging.specifiers.InvalidSpecifier."""
    return pypa.specifiers(text)


@lru_cache(maxsize=65536)
def parse_version(text: str) -> Version:
    """A PEP 440 version; cached because recipes repeat them. Raises packaging.version.InvalidVersion."""
    return pypa.version(text)


def python_version(tag: str) -> str:
    """``3.12`` of ``cp312``."""
    return f"{tag[2:3]}.{tag[3:]}"


def oldest_first(recipe: Recipe) -> tuple[Release, ...]:
    """The recipe's releases by version."""
    if len(recipe.release) == 1:
        return recipe.release
    return tuple(sorted(recipe.release, key=lambda release: parse_version(release.version)))
