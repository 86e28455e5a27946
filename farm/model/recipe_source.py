"""Releases of a project, and where their sources come from: `[[release]]` of a recipe; toolchains name files alike."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from farm.model.base import Frozen
from farm.model.recipe_text import RelPath, Sha256

MAX_MB = 2000
"""Megabytes (of 1,000,000 bytes) of a download, unless its location says otherwise: ten times what the largest has."""


class Location(Frozen):
    """One place a source can be had from. Locations are tried in order."""

    url: str = Field(
        description="`https://...`, `debian:<file of a pool>`, `pypi:<sdist file>`, `file:<path beside the recipe>`"
    )
    sha256: Sha256 = Field(description="hash of the file at this location (repacked tarballs differ from upstream's)")
    max_mb: int = Field(
        default=MAX_MB, ge=1, le=1_000_000, description="largest size of the file, in megabytes; a download ends there"
    )

    @model_serializer(mode="wrap")
    def _without_the_default(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As locations were written before they had limits: digests of what is made from them stay the same."""
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if (name, value) != ("max_mb", MAX_MB)}


class Source(Frozen):
    """One archive or file of a release."""

    location: tuple[Location, ...] = Field(min_length=1)
    into: RelPath = Field(default=".", description="directory, relative to the source tree, it is unpacked into")
    unpack: bool = Field(
        default=True, description="false: no archive; the file is copied under its name, as for a `file:` of the recipe"
    )

    @property
    def file_name(self) -> str:
        """What a file that is not unpacked is called in the source tree: as at its first location."""
        return self.location[0].url.replace(":", "/").rpartition("/")[2]


class Release(Frozen):
    """One version of the upstream project, with its sources and patches."""

    version: str = Field(max_length=64, description="upstream's version, PEP 440")
    revision: int = Field(
        default=0, ge=0, le=9999, description="raised when the farm changes the wheel of the same release"
    )
    source: tuple[Source, ...] = Field(min_length=1)
    patches: tuple[RelPath, ...] = Field(default=(), description="files below `patches/`, applied in order with -p1")
    abi_epoch: int | None = Field(
        default=None,
        ge=1,
        le=99,
        description="its ABI epoch, where it is not `epoch` of `[abi]`; never below that of an older release",
    )
