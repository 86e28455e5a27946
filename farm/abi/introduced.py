"""Which release of an ABI epoch brought which symbol: what the computed lower bounds of dependents rest on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from farm.abi.baseline import Accepted
from farm.model.abi import Abi

_Versioned = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduced:
    """`symbols` are those that no older release has, by release. All others are as old as `baseline`, and nobody knows
    whether they are older than that."""

    baseline: str
    symbols: Mapping[str, frozenset[str]] = field(default_factory=dict)


def introduced(accepted: Accepted, older: Collection[str], newest: Abi) -> Introduced:
    """What each of `older` (releases of the same epoch) that is pinned under the epoch of `newest` brought and, last,
    `newest` itself.

    The oldest of them is the baseline; `newest` itself if none is pinned. A symbol that is there in another version,
    too, counts as new: who links to it takes the newest version.
    """
    names = sorted((name for name in older if name in accepted.releases), key=Version)
    pinned = (accepted.of(name, newest.platform, newest.abi_class) for name in names)
    oldest, *later = (*(abi for abi in pinned if abi is not None and abi.epoch == newest.epoch), newest)
    found: dict[str, frozenset[str]] = {}
    known = _versioned(oldest)
    for abi in later:
        if new := _versioned(abi) - known:
            found[abi.release] = frozenset(name for name, _ in new)
        known |= new
    return Introduced(baseline=oldest.release, symbols=found)


def _versioned(abi: Abi) -> _Versioned:
    return frozenset((symbol.name, symbol.version) for library in abi.libraries.values() for symbol in library.symbols)
