"""Releases in Debian's pool, as parts of recipes that tests write."""

from __future__ import annotations

from collections.abc import Mapping

_RELEASE = """[[release]]
version = "{version}"
[[release.source]]
[[release.source.location]]
url = "debian:{file}"
sha256 = "{sha256}"

"""


def releases(pinned: Mapping[str, tuple[str, str]]) -> str:
    """The tables of some releases; `pinned` maps each version to a file of the pool and its sha256."""
    return "".join(
        _RELEASE.format(version=version, file=file, sha256=sha256) for version, (file, sha256) in pinned.items()
    )


def optional(name: str) -> str:
    """An exported name as a glob for just that name: unlike a name, a glob need not match."""
    return f"{name[:-1]}[{name[-1]}]"
