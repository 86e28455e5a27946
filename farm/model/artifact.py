"""A stored wheel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A wheel in the store: its build key, its file name, the sha256 and size (bytes) of its content."""

    key: str
    filename: str
    sha256: str
    size: int
