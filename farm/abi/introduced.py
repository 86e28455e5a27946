"""Which release of an ABI epoch brought which symbol: what the computed lower bounds of dependents rest on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from packaging.version import Version

from farm.abi.baseline import Accepted


def introduced(
    accepted: Accepted,
    older: Collection[str],
    release: str,
    exports: frozenset[str],
    *,
    epoch: int,
    platform: str,
    abi_class: str,
) -> Mapping[str, frozenset[str]]:
    """Release -> the symbols that no older release has, for those of `older` that are pinned under the epoch and, last,
    for `release` itself, which exports `exports`.

    The oldest is the baseline and is not in the answer: whatever no later release introduced is as old as that. Empty
    if no older release is pinned: then nobody knows.
    """
    names = sorted((name for name in older if name in accepted.releases), key=Version)
    pinned = [abi for name in names if (abi := accepted.of(name, platform, abi_class)) and abi.epoch == epoch]
    rows = [(abi.release, abi.names) for abi in pinned]
    found: dict[str, frozenset[str]] = {}
    known: frozenset[str] = frozenset()
    for number, (name, symbols) in enumerate([*rows, (release, exports)] if rows else []):
        if number and symbols - known:
            found[name] = symbols - known
        known |= symbols
    return found
