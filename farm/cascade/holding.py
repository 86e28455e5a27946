"""Holding a lease while something is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from farm.workers.keeper import LeaseKeeper

if TYPE_CHECKING:
    from farm.store.ledger import Ledger


def _ignore() -> None:
    """For who cannot stop half-way: what is done twice is done by key, so nothing is lost."""


@contextlib.contextmanager
def held(ledger: Ledger, key: str, on_lost: Callable[[], None] = _ignore) -> Iterator[bool]:
    """Hold the lease of a key while the block runs; gives False if another process has it."""
    from farm.store.leases import LEASE_SECONDS

    lease = ledger.lease(key)
    if lease is None:
        yield False
        return
    keeper = LeaseKeeper(ledger, LEASE_SECONDS)
    keeper.hold(lease, on_lost)
    try:
        yield True
    finally:
        keeper.close()
