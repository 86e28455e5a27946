"""The log that witnesses of a farm write, and what it proves. Not a test module."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path


def say(log: Path, *words: object) -> None:
    """Append a line, whole, whoever else writes: the seconds of the machine's monotonic clock, and words."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{time.monotonic():.3f} {' '.join(map(str, words))}\n".encode())
    os.close(handle)


def timed(log: Path) -> list[tuple[float, list[str]]]:
    """What was said, and when."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(float(at), words) for at, *words in lines]


def rows(log: Path) -> list[list[str]]:
    return [words for _, words in timed(log)]


def assert_never_twice_at_once(log: Path) -> None:
    """What was killed or stopped is over; anything else ends before the same is begun anew."""
    busy: dict[str, str] = {}
    for word, *rest in rows(log):
        if word == "begin":
            key, pid, *what = rest
            assert key not in busy, f"{' '.join(what)} is begun by {pid} while {busy[key]} is at it"
            busy[key] = pid
        elif word in ("end", "gave-up"):
            key, pid, *_ = rest
            if busy.get(key) == pid:
                del busy[key]
        elif word in ("killing", "stopping"):
            busy = {key: pid for key, pid in busy.items() if pid != rest[0]}


def assert_published_once(log: Path) -> None:
    """Each key got its meaning once."""
    counts = Counter(rest[0] for word, *rest in rows(log) if word == "published")
    assert not {key: count for key, count in counts.items() if count > 1}
