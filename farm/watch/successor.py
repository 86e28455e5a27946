"""Where the next release's archives are, from where this one's are. Each kind of location has its own rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from farm.fetch.locations import CannotResolveError, pypi_project
from farm.model.recipe_source import Location
from farm.watch import versions
from farm.watch.debian import EVERY_SUITE, ORIGINAL, UNSTABLE, tarballs
from farm.watch.values import Asking, Offer

_SEPARATORS = (".", "_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A location of the new release. `sha256` and `size` (bytes) are empty and 0 unless a signed index says them."""

    url: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A location whose successor is not known; `why` ends a sentence about it."""

    why: str


Successor = Candidate | Missing | None
"""None: the location does not name the release, so it is of something else, or says nothing of versions."""


def of_location(location: Location, old: str, new: Offer, asking: Asking) -> Successor:
    """The successor of one location for the release `new` after the version `old`.

    Raises MissingToolError or UnreachableError if Debian's index is needed and cannot be had.
    """
    kind = location.url.partition(":")[0]
    return _RULES[kind](location.url, old, new, asking)


def _address(url: str, old: str, new: Offer, _asking: Asking) -> Successor:
    changed = respell(url, old, new.text)
    return Candidate(url=changed) if changed != url else None


def _beside(url: str, old: str, new: Offer, _asking: Asking) -> Successor:
    changed = respell(url, old, new.text)
    return Missing(why="a file beside the recipe: put the new one there and add it") if changed != url else None


def respell(url: str, old: str, new: str) -> str:
    """An address with one version in place of another, in each way that upstreams spell it.

    ``2.13.3``, ``2_13_3`` and ``2-13-3`` are the same; so is ``2.13`` alone between slashes, as directories of a series
    are called, with or without ``v``. A version is not found within another: 1.3 is no part of 1.3.1 or 21.3.
    """
    for mark in _SEPARATORS:
        url = _replaced(url, old.replace(".", mark), new.replace(".", mark))
    series = [".".join(text.split(".")[:2]) for text in (old, new)]
    if old.count(".") > 1:
        url = re.sub(rf"(?<=/)(v?){re.escape(series[0])}(?=/)", rf"\g<1>{series[1]}", url)
    return url


def _replaced(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\d)(?<!\d[._-]){re.escape(old)}(?![._-]?\d)", lambda _: new, text)


def _debian(url: str, old: str, new: Offer, asking: Asking) -> Successor:
    directory, _, file = url.removeprefix("debian:").rpartition("/")
    named = ORIGINAL.fullmatch(file)
    if named is None or versions.of_debian(named["version"]) != Version(old):
        return None
    source = directory or file.partition("_")[0]
    for suites in (UNSTABLE, EVERY_SUITE):
        found = [
            tarball
            for tarball in tarballs([source], asking, suites=suites).get(source, ())
            if tarball.part == (named["part"] or "") and versions.of_debian(tarball.version) == new.version
        ]
        if found:
            best = max(found, key=lambda tarball: _natural(tarball.version))
            return Candidate(url=best.location, sha256=best.sha256, size=best.size)
    return Missing(why=f"Debian has no {new.text} of {source}")


def _natural(text: str) -> list[tuple[int, str]]:
    """Orders ``+dfsg2`` before ``+dfsg10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _pypi(url: str, old: str, new: Offer, _asking: Asking) -> Successor:
    try:
        name, version = parse_sdist_filename(url.removeprefix("pypi:"))
    except InvalidSdistFilename:
        return None
    if version != Version(old):
        return None
    try:
        files = pypi_project(canonicalize_name(name)).files
    except CannotResolveError as error:
        return Missing(why=str(error))
    found = sorted((file for file in files if _is_sdist(file, name, new.version)), key=lambda file: ".tar." not in file)
    return Candidate(url=f"pypi:{found[0]}") if found else Missing(why=f"the index has no sdist of {name} {new.text}")


def _is_sdist(file: str, name: str, version: Version) -> bool:
    try:
        return parse_sdist_filename(file) == (name, version)
    except InvalidSdistFilename:
        return False


_RULES: Mapping[str, Callable[[str, str, Offer, Asking], Successor]] = {
    "https": _address,
    "debian": _debian,
    "pypi": _pypi,
    "file": _beside,
}
