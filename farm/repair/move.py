"""One reference that is moved to another library: the same library in another ABI epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

BUILD_INSTEAD = "build it instead: `farm build` links it to the new library"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """All that need the file name `old` (``libgmp-nf10.so``) get `new`, which is as long.

    `library` is the content of the library of the new name, `distribution` and `version` the native wheel's, which lies
    at `origin`.
    """

    old: str
    new: str
    distribution: str
    version: str
    origin: Path
    library: bytes = field(repr=False)
