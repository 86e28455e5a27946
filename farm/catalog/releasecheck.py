"""What must hold for the releases of one recipe: versions in order, ABI epochs that never go down, sources that can be
had. Each check yields (location, why)."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier
from packaging.version import InvalidVersion

from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan.requirements import bound, parse_version, python_version

Found = Iterator[tuple[tuple[str | int, ...], str]]
NOT_OF_DEPENDENTS = "does not belong to a dependent: nothing links to it"
_SOURCE_KINDS = ("https", "http", "debian", "pypi", "file")
_SLASHES = {"debian": 1, "pypi": 0}  # debian:SOURCE/FILE where the file's name does not tell the source package


def placed(recipe: Recipe) -> Iterator[tuple[tuple[str, int], Release]]:
    """All releases, retired ones first, each with its place in the recipe: ``("release", 0)``."""
    for field, releases in (("retired", recipe.retired), ("release", recipe.release)):
        yield from (((field, i), release) for i, release in enumerate(releases))


def _releases(recipe: Recipe) -> Found:
    seen: dict[object, str] = {}
    last = None
    for place, release in placed(recipe):
        at = (*place, "version")
        try:
            version = parse_version(release.version)
        except InvalidVersion:
            yield at, f"{release.version!r} is not a PEP 440 version"
            continue
        if version.epoch or version.local:
            yield at, f"{release.version!r} has an epoch or local part: the farm uses the epoch for the ABI"
        if version in seen:
            yield at, f"{release.version!r} is there twice (as {seen[version]!r} before)"
        elif last is not None and version < last:
            yield at, f"{release.version!r} stands after a newer one: releases are listed oldest first"
        seen[version] = release.version
        last = version if last is None else max(last, version)


def _sources(recipe: Recipe) -> Found:
    for place, release in placed(recipe):
        for j, source in enumerate(release.source):
            for k, location in enumerate(source.location):
                kind, _, rest = location.url.partition(":")
                at = (*place, "source", j, "location", k, "url")
                if kind not in _SOURCE_KINDS or not rest:
                    yield at, f"{location.url!r} is none of https://..., debian:FILE, pypi:FILE, file:PATH"
                elif kind == "http":
                    yield at, "http is not used: take https"
                elif rest.count("/") > _SLASHES.get(kind, len(rest)):
                    yield at, f"{rest!r} is not a plain file name, as {kind}: takes it"


def _epochs(recipe: Recipe) -> Found:
    """A version epoch never goes down, so neither does an ABI epoch: pip would never take the newer release."""
    last, whose = 0, ""
    for place, release in placed(recipe):
        at = (*place, "abi_epoch")
        if recipe.kind == "dependent":
            if release.abi_epoch is not None:
                yield at, NOT_OF_DEPENDENTS
            continue
        if recipe.abi is None:
            continue  # a fault already
        epoch = release.abi_epoch or recipe.abi.epoch
        if epoch < last:
            how = "is" if release.abi_epoch else "is that of [abi],"
            yield at, f"{how} {epoch}, below {last} of {whose}: an ABI epoch never goes down; write {last} or higher"
        last, whose = max(last, epoch), whose if epoch < last else release.version


def _rows(recipe: Recipe) -> Found:
    """`[[when]]` rows that are bound to releases, or change exports."""
    libraries = [library.name for library in recipe.products.library]
    for i, row in enumerate(recipe.when):
        at = ("when", i, "release")
        try:
            bound(row.release)
        except InvalidSpecifier:
            yield at, f"{row.release!r} is not a version bound, like '>=6.2'"
            continue
        if row.release and row.impossible:
            yield at, "does not go with `impossible`, which is said of a platform: leave the release out of the recipe"
        for field, named in (("exports", row.exports), ("lacks", row.lacks)):
            for name in named.keys() - set(libraries):
                known = f": its libraries are {', '.join(libraries)}" if libraries else ""
                yield ("when", i, field, name), f"is no library of this recipe{known}"
        for library in recipe.products.library:
            listed = {
                *library.exports,
                *(name for other in recipe.when for name in other.exports.get(library.name, ())),
            }
            for name in row.lacks.get(library.name, ()):
                if name not in listed:
                    yield ("when", i, "lacks", library.name), f"{name!r} is not among the exports of {library.name}"


def _retired(recipe: Recipe) -> Found:
    if recipe.retired and recipe.kind == "dependent":
        yield ("retired",), NOT_OF_DEPENDENTS


def _pythons(recipe: Recipe) -> Found:
    """`requires.pythons`: a bound, of a dependent, that lets it be built with the Python of its stable ABI."""
    text, at = recipe.requires.pythons, ("requires", "pythons")
    try:
        pythons = bound(text)
    except InvalidSpecifier:
        yield at, f"{text!r} is not a version bound, like '>=3.12'"
        return
    if text and recipe.kind == "library":
        yield at, "does not belong to a library: no Python is linked to it"
    stable = recipe.build.abi3
    if text and stable and not pythons.contains(python_version(stable)):
        yield at, f"does not go with `abi3`: it is built with {stable}, which is not {text}"


RULES = (_releases, _epochs, _sources, _rows, _retired, _pythons)
