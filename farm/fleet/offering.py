"""What a run has here, and workers need, is seen to be in the shared store: that may have lost it since."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store.artifacts import Store

_log = logging.getLogger(__name__)


class Offering:
    """Looks once for each key of a run. Safe for threads: what two look for at once is published once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._there: set[str] = set()

    def has(self, key: str) -> None:
        """A worker of this run has just published it."""
        self._there.add(key)

    def offer(self, artifacts: Iterable[Artifact]) -> None:
        """See that workers find these. A shared store that does not answer is told as a warning."""
        for artifact in artifacts:
            if artifact.key in self._there:
                continue
            try:
                self._store.offer(artifact)
            except StoreError as error:
                _log.warning("whether workers find %s is not known: %s", artifact.filename, error)
            self._there.add(artifact.key)
