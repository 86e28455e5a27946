"""Keeping leases alive while steps run: one thread beats for all of them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from farm.errors import StoreError

if TYPE_CHECKING:
    from farm.store.ledger import Ledger
    from farm.store.records import Lease

_log = logging.getLogger(__name__)
_BEATS_PER_LEASE = 4


class LeaseKeeper:
    """Holds leases until they are dropped; tells the step if its lease is lost to somebody else.

    A database that does not answer is asked again with the next beat: losing a lease is only what the database says.
    """

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger = ledger
        self._interval = seconds / _BEATS_PER_LEASE
        self._held: dict[str, tuple[Lease, Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="farm-heartbeat", daemon=True)
        self._thread.start()

    def hold(self, lease: Lease, on_lost: Callable[[], None]) -> None:
        """Renew this lease until it is let go; `on_lost` is called, from the keeper's thread, if that fails."""
        with self._lock:
            self._held[lease.key] = (lease, on_lost)

    def forget(self, lease: Lease) -> None:
        """Renew a lease no more: whoever calls this gives it back in a transaction of its own."""
        with self._lock:
            self._held.pop(lease.key, None)

    def drop(self, lease: Lease) -> None:
        """Release a lease. If the database does not answer, it will expire by itself."""
        self.forget(lease)
        try:
            self._ledger.release(lease)
        except StoreError as error:
            _log.warning("the lease of %s was not released and will expire: %s", lease.key[:12], error)

    def close(self) -> None:
        """End the heartbeat and release what is still held."""
        self._end.set()
        self._thread.join()
        for lease, _ in list(self._held.values()):
            self.drop(lease)

    def _beat_on(self) -> None:
        while not self._end.wait(self._interval):
            with self._lock:
                held = dict(self._held)
            if not held:
                continue
            try:
                lost = self._ledger.heartbeat(lease for lease, _ in held.values())
            except StoreError as error:
                _log.warning("no heartbeat: %s", error)
                continue
            except Exception:  # noqa: BLE001 - a bug: were the thread to end, steps would be built twice
                _log.exception("no heartbeat: internal error")
                continue
            for key in lost:
                self._lose(key, held[key][0])

    def _lose(self, key: str, lease: Lease) -> None:
        with self._lock:
            entry = self._held.get(key)
            if entry is None or entry[0] != lease:
                return  # dropped while we asked
            del self._held[key]
        self._ledger.tally_softly("lost lease")
        _log.warning("the lease of %s went to another process; this build of it stops", key[:12])
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            threading.Thread(target=entry[1], daemon=True).start()  # killing takes its time; the others need their beat
