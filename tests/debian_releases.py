"""Releases in Debian's pool, as parts of recipes that tests write, and Debian's lists of symbols."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from farm import settings
from farm.fetch.obtain import obtain
from farm.model.recipe_source import Location

_RELEASE = """[[release]]
version = "{version}"
[[release.source]]
[[release.source.location]]
url = "debian:{file}"
sha256 = "{sha256}"

"""


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """Debian's list: a file of its pool with its sha256, and the member."""

    file: str
    sha256: str
    member: str


def releases(pinned: Mapping[str, tuple[str, str]]) -> str:
    """The tables of some releases; `pinned` maps each version to a file of the pool and its sha256."""
    return "".join(
        _RELEASE.format(version=version, file=file, sha256=sha256) for version, (file, sha256) in pinned.items()
    )


def optional(name: str) -> str:
    """An exported name as a glob for just that name: unlike a name, a glob need not match."""
    return f"{name[:-1]}[{name[-1]}]"


def member(file: str, sha256: str, name: str) -> str:
    """A text file of an archive in Debian's pool, by its path without the first directory."""
    location = Location(url=f"debian:{file}", sha256=sha256)
    with tarfile.open(obtain((location,), Path(), settings.load().downloads)) as archive:
        found = next(it for it in archive if it.name == name or it.name.partition("/")[2] == name)
        stream = archive.extractfile(found)
        assert stream is not None
        return stream.read().decode()


def listed(symbols: Symbols) -> dict[str, Version]:
    """Symbol -> the upstream release that Debian saw it in first."""
    text = member(symbols.file, symbols.sha256, symbols.member)
    rows = re.findall(r"(?m)^ (?:\([^)]*\))?(\S+)@\S+ (?:\d+:)?(\d+(?:\.\d+)*)", text)
    return {name: Version(version) for name, version in rows}
