"""The store: wheels by build key, on this machine and, if there is one, in the shared store behind it.

What this machine lacks is looked for there, checked by its hash, and kept here. What it makes is stored here first and
then published there; the first publication of a key, by whichever machine, is what the key means for all
(docs/stores.md). Where nobody built a key, a rebound wheel may stand in (farm.store.standing).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from farm.errors import StoreError, UnavailableError
from farm.model.artifact import Artifact
from farm.store.cache import Limit
from farm.store.files import disk_errors, temporary_name
from farm.store.local import LocalStore
from farm.store.pointers import Conflict
from farm.store.remote import layout
from farm.store.standing import stand_in, with_stand_ins

if TYPE_CHECKING:
    from farm.settings import Settings
    from farm.store.shared import Shared

_log = logging.getLogger(__name__)
_TRIES = 3
_THREADS = 8  # wheels brought at once


class Store(LocalStore):
    """Artifacts in a directory, with an optional shared store behind it. Safe for many threads and processes at once.

    Without a shared store it is a LocalStore. With one, `get`, `put` and `known` may raise UnavailableError. An
    artifact whose key is not the one that was asked for stands in for it.
    """

    def __init__(
        self,
        root: Path,
        *,
        shared: Shared | None = None,
        limit: int = 0,
        on_conflict: Callable[[Conflict], None] | None = None,
        stand_ins: bool = True,
    ) -> None:
        """`limit`: bytes of wheels that are kept here while `shared` has them too (farm.store.cache); 0: any number.
        `stand_ins` False: only what was built counts."""
        super().__init__(root, on_conflict=on_conflict)
        self._stand_ins = stand_ins
        self.shared = shared
        self._limit = Limit(self, shared, limit)

    def get(self, key: str) -> Artifact | None:
        """The artifact of a build key or what stands in for it, whose content is on this machine then; None if nobody
        has it.

        What is only here is published first: a build that was killed between the two is finished this way.
        """
        return self.built(key) or (self.built(stand_in(key)) if self._stand_ins else None)

    def built(self, key: str) -> Artifact | None:
        """`get`, but nothing stands in: for whoever was asked for a build."""
        shared = self.shared
        if shared is None:
            return super().get(key)
        artifact = super().get(key)
        self._limit.used(key)
        if artifact is None:
            return self._bring(key, shared)
        if not shared.writable or self._is_shared(artifact, shared):
            return artifact
        return self._publish_shared(artifact, shared) if self.verify(artifact) else self._bring(key, shared)

    def get_all(self, keys: Iterable[str]) -> dict[str, Artifact]:
        """`get` for many keys, by those that were asked for; several at once where a shared store is asked."""
        wanted = list(dict.fromkeys(keys))
        if self.shared is None:
            found = [self.get(key) for key in wanted]
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_THREADS, thread_name_prefix="farm-store") as pool:
                found = list(pool.map(self.get, wanted))
        return {key: artifact for key, artifact in zip(wanted, found, strict=True) if artifact is not None}

    def known(self, keys: Iterable[str]) -> dict[str, Artifact]:
        """Which keys have an artifact or a stand-in, here or in the shared store. No content is brought, nothing is
        published."""
        wanted = list(dict.fromkeys(keys))
        found = self._known(wanted)
        missing = {stand_in(key): key for key in wanted if key not in found} if self._stand_ins else {}
        return found | {missing[key]: artifact for key, artifact in self._known(list(missing)).items()}

    def _known(self, wanted: list[str]) -> dict[str, Artifact]:
        found = {key: artifact for key in wanted if (artifact := super(Store, self).get(key))}
        if self.shared is not None and len(found) < len(wanted):
            found |= self.shared.find_all(key for key in wanted if key not in found)
        return found

    def put(self, key: str, wheel: Path) -> Artifact:
        """Store a wheel under its build key, here and then in the shared store; returns what the key means now.

        See LocalStore.put. UnavailableError: it is stored here, and published by the next `get` or `put`.
        """
        artifact = super().put(key, wheel)
        shared = self.shared
        if shared is None or not shared.writable or self._is_shared(artifact, shared):
            return artifact
        return self._publish_shared(artifact, shared)

    def offer(self, artifact: Artifact) -> None:
        """See that the shared store has what is stored here: of what it had once, something may have been damaged and
        dropped, or removed by hand. Raises UnavailableError, StoreError."""
        shared = self.shared
        if shared is None or not shared.writable or shared.find(artifact.key) is not None:
            return
        if self.verify(artifact):
            self._publish_shared(artifact, shared)

    def let_stand_in(self, key: str, artifact: Artifact) -> None:
        """Let a stored wheel that was rebound stand in for the build of a key, unless there is one, or a stand-in."""
        if self.get(key) is not None:
            return
        other = self.name(stand_in(key), artifact)
        if self.shared is not None and self.shared.writable:
            self._publish_shared(other, self.shared)

    def stood_in(self, keys: Iterable[str]) -> Iterator[Artifact]:
        """What this machine has that stands in for these keys, or did before they were built."""
        return filter(None, (super(Store, self).get(stand_in(key)) for key in keys))

    @contextlib.contextmanager
    def pinned(self, keys: Iterable[str]) -> Iterator[None]:
        """See LocalStore; keeps them from `farm gc --shared` too. A shared store that does not answer is no reason not
        to begin: what is here may be all that is needed."""
        wanted = with_stand_ins(keys)
        with super().pinned(wanted), contextlib.ExitStack() as stack:
            if self.shared is not None and self.shared.writable:
                try:
                    stack.enter_context(self.shared.guard.pinned([layout.record(key) for key in wanted]))
                except UnavailableError as error:
                    _log.warning("%s: nothing is pinned there: %s", self.shared.id, error.what)
            yield

    def pinned_here(self, keys: Iterable[str]) -> contextlib.AbstractContextManager[None]:
        """As `pinned`, for this machine alone: for those whose run is pinned in the shared store by somebody else."""
        return super().pinned(with_stand_ins(keys))

    def _is_shared(self, artifact: Artifact, shared: Shared) -> bool:
        pointer = self.pointer(artifact.key)
        return pointer is not None and pointer.artifact == artifact and pointer.shared == shared.id

    def _publish_shared(self, artifact: Artifact, shared: Shared) -> Artifact:
        """Publish what is stored here. If another machine was first, its wheel is what the key means, here too."""
        for _ in range(_TRIES):
            kept = shared.publish(artifact, self.path(artifact))
            if kept == artifact:
                self.mark_shared(artifact, shared.id)
                self._limit.grew(artifact.size)
                return artifact
            if self._download(kept, shared):
                self._on_conflict(
                    Conflict(key=kept.key, kept=kept, other_filename=artifact.filename, other_sha256=artifact.sha256)
                )
                return kept
        raise StoreError(
            f"what {artifact.key[:12]} means there is damaged again and again",
            where=shared.id,
            fix="look at the service's own log: it changes what it stores",
        )

    def _bring(self, key: str, shared: Shared) -> Artifact | None:
        artifact = shared.find(key)
        return artifact if artifact is not None and self._download(artifact, shared) else None

    def _download(self, artifact: Artifact, shared: Shared) -> bool:
        """Bring content here. False if it is damaged there: then it counts as not built, and building it mends it."""
        from farm.store.shared import DamagedError

        with disk_errors(self.root):
            self.prepare()
        temporary = self.root / "tmp" / temporary_name(artifact.filename)
        try:
            shared.fetch_artifact(artifact, temporary)
            self.take(artifact, temporary, shared.id)
        except DamagedError as error:
            _log.warning("%s; %s counts as not built", error, artifact.filename)
            shared.drop(artifact)
            return False
        finally:
            with disk_errors(self.root):
                temporary.unlink(missing_ok=True)
        self._limit.grew(artifact.size)
        return True


def open_store(
    settings: Settings, *, on_conflict: Callable[[Conflict], None] | None = None, stand_ins: bool = True
) -> Store:
    """The store that the settings name. Raises UsageError for a FARM_STORE that is no address; asks no server yet."""
    if not settings.store_url:
        return Store(settings.store, on_conflict=on_conflict, stand_ins=stand_ins)
    from farm.store.remote.address import connect
    from farm.store.shared import Shared

    shared = Shared(connect(settings.store_url))
    limit = settings.cache_limit
    return Store(settings.store, shared=shared, limit=limit, on_conflict=on_conflict, stand_ins=stand_ins)
