"""Which release of an ABI epoch brought which symbol: what the computed lower bounds of dependents rest on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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

    The oldest of them is the baseline; `newest` itself if none is pinned. A release that is not pinned for the platform
    itself had what it had on all that are pinned of its class. A symbol that is there in another version, too,
    counts as new: who links to it takes the newest version.
    """
    names = sorted((name for name in older if name in accepted.releases), key=Version)
    known = {name: abis for name in names if (abis := accepted.all_of(name, newest)) and _same_epoch(abis, newest)}
    (baseline, oldest), *later = (*known.items(), (newest.release, (newest,)))
    found: dict[str, frozenset[str]] = {}
    had = _everywhere(oldest)
    for release, abis in later:
        if new := _everywhere(abis) - had:
            found[release] = frozenset(name for name, _ in new)
        had |= new
    return Introduced(baseline=baseline, symbols=found)


def _same_epoch(abis: Iterable[Abi], newest: Abi) -> bool:
    return all(abi.epoch == newest.epoch for abi in abis)


def _everywhere(abis: Iterable[Abi]) -> _Versioned:
    """The symbols, with their versions, that all of some ABIs have."""
    return frozenset.intersection(*(frozenset((s.name, s.version) for s in abi.symbols) for abi in abis))
