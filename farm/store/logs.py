"""Logs of finished tries in a shared store, so that `farm logs` on another machine finds them.

A log's content is a blob by its hash; a small record under the key, the try's number and its machine points at it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store import pointers
from farm.store.artifacts import Store
from farm.store.files import copy_new, disk_errors, temporary_name
from farm.store.owner import this_process
from farm.store.remote import layout

_log = logging.getLogger(__name__)


def keep_log(store: Store, key: str, attempt: int, log: Path) -> None:
    """Send the log of a try of this machine that has ended. No build fails for this: what goes wrong is a warning."""
    shared = store.shared
    if shared is None or not shared.writable or not log.is_file():
        return
    try:
        with disk_errors(store.root):
            store.prepare()
            copy = store.root / "tmp" / temporary_name("log")  # the next try begins the log anew
            try:
                sha256, size = copy_new(log, copy)
                shared.send(layout.blob(sha256), copy, sha256)
            finally:
                copy.unlink(missing_ok=True)
        pointer = pointers.encode(Artifact(key=key, filename=layout.RAW, sha256=sha256, size=size))
        shared.remote.write(layout.log(key, attempt, this_process().host), pointer)
    except StoreError as error:
        _log.warning("the log of try %d is not in the shared store: %s", attempt, error)


def bring_log(store: Store, key: str, attempt: int, host: str, folder: Path) -> Path | None:
    """The log of a try on any machine, brought into `folder`; None if the shared store does not have it.

    Raises StoreError, UnavailableError.
    """
    shared = store.shared
    if shared is None:
        return None
    name = layout.log(key, attempt, host)
    place = folder / f"{key}.{Path(name).stem}.log"
    data = shared.remote.read(name)
    if data is None:
        return place if place.is_file() else None
    try:
        found = pointers.decode(key, data).artifact
    except ValueError as error:
        raise StoreError(f"{name} is damaged: {error}", where=shared.id) from error
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / temporary_name(".log")
    try:
        shared.fetch(layout.blob(found.sha256), found.sha256, fresh, size=found.size)
        with disk_errors(folder):
            fresh.replace(place)
    finally:
        fresh.unlink(missing_ok=True)
    return place
