"""Which release of an ABI epoch brought which symbol: what the computed lower bounds of dependents rest on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from packaging.version import Version

from farm.abi.baseline import Accepted
from farm.model.abi import Abi


def introduced(accepted: Accepted, older: Collection[str], newest: Abi) -> Mapping[str, frozenset[str]]:
    """Release -> the symbols that no older release has, for those of `older` (releases of the same epoch) that are
    pinned under the epoch of `newest` and, last, for `newest` itself.

    The oldest is the baseline and is not in the answer: whatever no later release introduced is as old as that. Empty
    if no older release is pinned: then nobody knows.
    """
    names = sorted((name for name in older if name in accepted.releases), key=Version)
    pinned = (accepted.of(name, newest.platform, newest.abi_class) for name in names)
    oldest, *later = (*(abi for abi in pinned if abi is not None and abi.epoch == newest.epoch), newest)
    found: dict[str, frozenset[str]] = {}
    known = oldest.names
    for abi in later:
        if new := abi.names - known:
            found[abi.release] = new
        known |= new
    return found
