"""Garbage collection of a shared store: mark what nothing needs, remove it a grace period later (farm.store.guard)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from farm.errors import StoreError
from farm.store import pointers
from farm.store.guard import BATCH_SECONDS, pinned_names, pins, read_marks, sweeping
from farm.store.remote import layout
from farm.store.remote.protocol import Entry, Remote
from farm.store.removal import Removal
from farm.store.shared import Shared

_log = logging.getLogger(__name__)
_THREADS = 16
_BATCH = 200  # objects
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept. `keys` and `sha256` are needed; what is younger than `keep_days` is kept too, unless all takes more
    than `max_size` bytes: then the oldest of it goes first. `grace` is in seconds."""

    keys: Collection[str]
    sha256: Collection[str]
    keep_days: float
    grace: float
    max_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was (or would be) removed now, and how many objects wait for the end of their grace period."""

    removals: tuple[Removal, ...]
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A record with the blob that it points at; `blob` is empty if it is damaged."""

    entry: Entry
    key: str
    sha256: str
    blob: str


def collect(
    shared: Shared,
    rules: Rules,
    *,
    dry_run: bool,
    clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
) -> Collected:
    """Mark and sweep. Safe while others publish, and when it is killed. Raises StoreError, UnavailableError."""
    remote = shared.remote
    shared.claim()
    now = _now(remote, dry_run=dry_run)
    records = _records(remote)
    blobs = {entry.name: entry for entry in remote.entries(layout.BLOBS) if layout.is_ours(entry.name)}
    doomed = _doomed(records, blobs, rules, pinned_names(remote, now), now)
    old = read_marks(remote)
    marks = {name: old.get(name, now) for name in doomed}
    due = [name for name in doomed if marks[name] <= now - rules.grace]
    gone = set(due)
    if not dry_run:
        remote.write(layout.MARKS, json.dumps(marks).encode())
        dates = {entry.name: entry.modified for entry in (*blobs.values(), *(r.entry for r in records))}
        gone = _sweep(remote, due, records, dates, now, clock)
        _tidy(remote, now)
        remote.write(layout.MARKS, json.dumps({n: t for n, t in marks.items() if n not in gone}).encode())
    removals = tuple(_removal(name, blobs) for name in due if name in gone)
    return Collected(removals=removals, waiting=len(doomed) - len(removals))


def require_keeper(remote: Remote, home: str, *, take_over: bool) -> None:
    """Only one farm's index and ledger say what is needed: refuse to collect for any other. Raises StoreError."""
    mine = json.dumps({"home": home}).encode()
    if remote.create(layout.KEEPER, mine):
        return
    if remote.read(layout.KEEPER) == mine:
        return
    if not take_over:
        raise StoreError(
            "another farm collects this store; what only that one needs would go",
            where=remote.id,
            fix="run `farm gc --shared` there, or make this farm the one that knows what is needed: --take-over",
        )
    remote.write(layout.KEEPER, mine)


def _now(remote: Remote, *, dry_run: bool) -> float:
    """The store's own time: ages are judged by the clock that wrote them."""
    if dry_run:
        return time.time()
    remote.write(f"{layout.GC}clock.json", b"{}")
    found = remote.look(f"{layout.GC}clock.json")
    return time.time() if found is None else found.modified


def _records(remote: Remote) -> list[_Record]:
    """All records of keys and logs. Each is read: only they say which blobs are needed."""

    def read(entry: Entry) -> _Record | None:
        data = remote.read(entry.name)
        if data is None:
            return None  # removed meanwhile
        key = entry.name.split("/")[2].removesuffix(".json")
        try:
            artifact = pointers.decode(key, data).artifact
        except ValueError:
            return _Record(entry=entry, key=key, sha256="", blob="")
        return _Record(
            entry=entry, key=key, sha256=artifact.sha256, blob=layout.blob(artifact.sha256, artifact.filename)
        )

    listed = (entry for folder in (layout.KEYS, layout.LOGS) for entry in remote.entries(folder))
    entries = [entry for entry in listed if layout.is_ours(entry.name)]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="farm-gc") as pool:
        return [record for record in pool.map(read, entries) if record is not None]


def _doomed(
    records: list[_Record], blobs: Mapping[str, Entry], rules: Rules, pinned: Collection[str], now: float
) -> list[str]:
    """Names that nothing needs: records first, then blobs that no record which stays points at."""
    old = now - rules.keep_days * _DAY
    keys, sha256 = set(rules.keys), set(rules.sha256)

    def is_needed(record: _Record) -> bool:
        return record.key in keys or record.sha256 in sha256 or record.entry.name in pinned or record.blob in pinned

    needed = [record for record in records if is_needed(record)]
    spare = sorted((r for r in records if not is_needed(r)), key=lambda r: (r.entry.modified, r.entry.name))
    young = [record for record in spare if record.entry.modified > old]
    if rules.max_size is not None:
        young = _fitting(needed, young, blobs, rules.max_size)
    stay = {record.entry.name for record in (*needed, *young)}
    live = {record.blob for record in (*needed, *young)} | set(pinned)
    pointed_at = {record.blob for record in records}
    loose = [
        name
        for name, entry in blobs.items()
        if name not in live
        and name.split("/")[2] not in sha256
        and (name in pointed_at or entry.modified <= old)  # without any record it may be just being published
    ]
    return [record.entry.name for record in spare if record.entry.name not in stay] + loose


def _fitting(needed: list[_Record], young: list[_Record], blobs: Mapping[str, Entry], max_size: int) -> list[_Record]:
    """The newest of what is young, as much as there is room for beside what is needed."""
    sizes = {name: entry.size for name, entry in blobs.items()}
    counted = {record.blob for record in needed}
    used = sum(sizes.get(name, 0) for name in counted)
    kept = []
    for record in reversed(young):
        more = 0 if record.blob in counted else sizes.get(record.blob, 0)
        if used + more > max_size:
            break
        used += more
        counted.add(record.blob)
        kept.append(record)
    return kept


def _sweep(
    remote: Remote,
    due: list[str],
    records: list[_Record],
    dates: Mapping[str, float],
    now: float,
    clock: Callable[[], float],
) -> set[str]:
    """Remove batch after batch; gives what went."""
    blob_of = {record.entry.name: record.blob for record in records}
    gone: set[str] = set()
    spared: set[str] = set()
    left = list(due)
    while left:
        batch, left = left[:_BATCH], left[_BATCH:]
        started = clock()
        with sweeping(remote, batch):
            spared |= pinned_names(remote, now)
            spared |= {blob_of[name] for name in spared if name in blob_of}
            for done, name in enumerate(batch):
                if clock() - started > BATCH_SECONDS:
                    left = batch[done:] + left
                    break
                if name in spared or _is_younger(remote, name, dates[name]):
                    spared |= {name, blob_of.get(name, name)}
                    continue
                remote.remove(name)
                gone.add(name)
    return gone


def _is_younger(remote: Remote, name: str, date: float) -> bool:
    """Whether it was written anew since it was listed. Services give dates in whole seconds for some questions."""
    found = remote.look(name)
    return found is not None and int(found.modified) > int(date)


def _tidy(remote: Remote, now: float) -> None:
    """Pins of dead runs, and what killed writers left."""
    for entry, alive in list(pins(remote, now)):
        if not alive:
            remote.remove(entry.name)
    for entry in _leftovers(remote, now):
        remote.remove_leftover(entry)


def _leftovers(remote: Remote, now: float) -> Iterator[Entry]:
    return remote.leftovers(now - _DAY)


def _removal(name: str, blobs: Mapping[str, Entry]) -> Removal:
    size = blobs[name].size if name in blobs else 0
    kind = {"keys": "shared record", "logs": "shared log"}.get(name.split("/")[0], "shared blob")
    return Removal(kind=kind, path=Path(name), size=size, name=name.rpartition("/")[2])
