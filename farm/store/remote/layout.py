"""Where things are in a shared store: as in a local one, so that a web server can serve either (docs/stores.md)."""

from __future__ import annotations

import json
import re

MARKER = "farm-store.json"
FORMAT = 1
KEYS, BLOBS, LOGS, PINS, GC = "keys/", "blobs/", "logs/", "pins/", "gc/"
MARKS = f"{GC}marks.json"  # what is to be removed, and since when
SWEEPING = f"{GC}sweeping.json"  # what is being removed just now
KEEPER = f"{GC}keeper.json"  # the one farm whose index and ledger say what is needed
RAW = "blob"  # the file name of content that is no wheel
_OURS = re.compile(r"keys/../[0-9a-f]{64}\.json|(?:logs|blobs)/../[0-9a-f]{64}/[^/]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


def marker() -> bytes:
    """What says that this is a farm's store, and of which format."""
    return json.dumps({"format": FORMAT}).encode() + b"\n"


def record(key: str) -> str:
    """What a build key means: a pointer (farm.store.pointers)."""
    return f"{KEYS}{key[:2]}/{key}.json"


def blob(sha256: str, filename: str = RAW) -> str:
    """Content by its hash."""
    return f"{BLOBS}{sha256[:2]}/{sha256}/{filename}"


def log(key: str, attempt: int, host: str) -> str:
    """Which blob is the log of a try. Ledgers of several farms count tries alike, so the machine is in the name."""
    return f"{LOGS}{key[:2]}/{key}/{attempt}-{_UNSAFE.sub('_', host)}.json"


def pin(name: str) -> str:
    """Keys that a running farm needs, and hashes of what it is about to publish."""
    return f"{PINS}{name}"


def is_ours(name: str) -> bool:
    """Whether a record, a log's record or content is called so. Consoles of services put objects of their own there."""
    return bool(_OURS.fullmatch(name))


def key_of(record_name: str) -> str:
    """The key of a record's name."""
    return record_name.rpartition("/")[2].removesuffix(".json")
