"""Whether what was asked for waits for a worker that does not come: who asks is told, for nothing else would say so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from farm.errors import StoreError
from farm.model.job import QueueDepth

_log = logging.getLogger(__name__)
_PATIENCE = 10.0  # seconds without an end before the ledger is asked
_REST = 60.0  # seconds between two questions


class Waiting:
    """Says so, once a queue, when jobs of ours wait there and nothing at all is at work. `depths` asks the ledger; that
    is done only when nothing ended for `patience` seconds, and then every `rest` seconds."""

    def __init__(
        self, depths: Callable[[], tuple[QueueDepth, ...]], *, patience: float = _PATIENCE, rest: float = _REST
    ) -> None:
        self._depths = depths
        self._patience = patience
        self._rest = rest
        self._next = time.monotonic() + patience
        self._said: set[str] = set()

    def look(self, queues: Collection[str], *, ended: bool) -> None:
        """We have jobs out, in some of these queues; `ended` if one has ended since the last look."""
        now = time.monotonic()
        if ended:
            self._next = now + self._patience
        if ended or now < self._next or self._said.issuperset(queues):
            return
        self._next = now + self._rest
        try:
            depths = self._depths()
        except StoreError as error:  # who needs the ledger waits for it, and tells of it
            _log.debug("nobody looked who works: %s", error)
            return
        waits = [depth for depth in depths if depth.queued and depth.queue in queues and depth.queue not in self._said]
        if not waits or any(depth.running for depth in depths):  # a busy worker may serve the queue, too
            return
        self._said.update(depth.queue for depth in waits)
        _log.warning(
            "no worker takes what waits (%s): does a `farm worker` run that serves it, with this FARM_LEDGER? If one"
            " does, its log says why",
            ", ".join(f"{depth.queue}: {depth.queued}" for depth in waits),
        )
