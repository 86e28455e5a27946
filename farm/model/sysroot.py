"""Sysroots as they are written: `toolchains/sysroots/<name>.toml`. The part of another system that programs need."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from farm.model.base import Frozen
from farm.model.recipe_source import Location
from farm.model.recipe_text import Name, RelPath


class Package(Frozen):
    """A binary package. Its locations are alternatives, tried in order, each with its own hash."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", description="name of the package: `libc6`")
    architecture: str = Field(default="", description="where it differs from the sysroot's")
    location: tuple[Location, ...] = Field(
        default=(), description="newest first; `farm toolchain sysroot NAME --update` writes them"
    )


class Sysroot(Frozen):
    """Pinned packages that are unpacked side by side into one directory of the user's cache."""

    format: Literal[1] = Field(description="of this file: 1")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="as the file is called")
    summary: str = Field(description="what is in it, in a sentence")
    suite: str = Field(pattern=r"^[a-z0-9-]+$", description="release of the distribution that the pins come from")
    architecture: Name = Field(description="as the distribution spells it: arm64, i386, ppc64el")
    machine: str = Field(description="as the kernel spells it: aarch64, i686, ppc64le, x86_64")
    loader: RelPath | None = Field(default=None, description="the dynamic loader in the sysroot")
    library_path: tuple[RelPath, ...] = Field(default=(), description="where the loader finds the sysroot's libraries")
    python: str = Field(default="", description="version of the Python it holds: `3.13`")
    programs: dict[str, RelPath] = Field(
        default_factory=dict, description="programs that a runner may ask for by name, and where they lie: `python`"
    )
    links: dict[RelPath, RelPath] = Field(
        default_factory=dict, description="links that the packages' installation would make, and what they lead to"
    )
    drop: tuple[str, ...] = Field(default=(), description="globs of paths that are not unpacked: documentation")
    package: tuple[Package, ...] = Field(min_length=1)
