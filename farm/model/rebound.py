"""`rebound.json`: which wheel a rebound wheel was made from, and what was moved. It lies in ``.dist-info/``."""

from __future__ import annotations

from typing import Literal

from farm.model.base import Frozen


class FileIdentity(Frozen):
    """A wheel: its file name and the sha256 of its bytes in hex."""

    filename: str
    sha256: str


class Rebinding(Frozen):
    """One rebinding: the wheel before, `moved` (file name of a library before -> after), and the native wheels that
    bring the new libraries, by distribution."""

    wheel: FileIdentity
    moved: dict[str, str]
    natives: dict[str, FileIdentity]


class Rebound(Frozen):
    """All rebindings of a wheel since it was built, oldest first."""

    format: Literal[1] = 1
    rebound: tuple[Rebinding, ...] = ()
