"""Pythons as they are written: `toolchains/pythons/<tag>.toml`. What one CPython's extension modules are built with."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from farm.model.base import Frozen
from farm.model.recipe import Location, PlatformGlob, RelPath

MacroName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]
LibraryName = Annotated[str, StringConstraints(pattern=r"^python\d+$")]


class Headers(Frozen):
    """Where the headers of some platforms come from, and what has to be changed in their pyconfig.h.

    They come from a pinned package of a sysroot, or, where `sysroot` is empty, from CPython's own source.
    """

    platform: tuple[PlatformGlob, ...] = Field(min_length=1)
    sysroot: str = Field(default="", description="name of a file in `toolchains/sysroots/`, without `.toml`")
    package: str = Field(default="", description="the package of that sysroot that holds the headers")
    include: RelPath = Field(description="directory of Python.h in the package or the source")
    pyconfig: RelPath = Field(description="the platform's pyconfig.h, or the template of it")
    ones: tuple[MacroName, ...] = Field(default=(), description="names that this platform's pyconfig.h defines as 1")
    values: dict[MacroName, str] = Field(default_factory=dict, description="names that it defines as something else")
    undefined: tuple[MacroName, ...] = Field(default=(), description="names that it does not define")
    import_libraries: dict[LibraryName, RelPath] = Field(
        default_factory=dict,
        description="import library -> file or directory of the source that names what the DLL exports",
    )


class Python(Frozen):
    """One CPython."""

    format: int = Field(ge=1, le=1)
    tag: str = Field(pattern=r"^cp3\d+$", description="as wheels spell it: cp313; the file's name")
    version: str = Field(pattern=r"^3\.\d+\.\d+$")
    build: dict[str, str] = Field(
        default_factory=dict,
        description="sysroot with the interpreter that runs builds, by the build machine's architecture",
    )
    source: tuple[Location, ...] = Field(default=(), description="CPython's own source archive: alternatives")
    headers: tuple[Headers, ...] = Field(min_length=1)

    @property
    def short(self) -> str:
        """``3.13``."""
        return self.version.rpartition(".")[0]

    def headers_for(self, platform: str) -> Headers | None:
        """The first entry that is for a platform; None if it has none."""
        return next((entry for entry in self.headers if any(fnmatchcase(platform, g) for g in entry.platform)), None)
