"""Numbers and lists in words for people."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 wheel``, ``2 wheels``; `plural` where an ``s`` does not make it."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def some(texts: Sequence[str], most: int) -> str:
    """``a, b, c and 12 more``: the first `most`, and how many are left."""
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")


def human_size(count: float) -> str:
    """A size in bytes for people: ``1.4 MB`` (powers of 1000, as package indexes show them)."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def human_seconds(seconds: float) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3m20s``, ``1h02m``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
