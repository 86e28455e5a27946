"""Pythons as they are written: `toolchains/pythons/<tag>.toml`. What one CPython's extension modules are built with."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from farm.model.base import Frozen
from farm.model.recipe import Build
from farm.model.recipe_source import Location
from farm.model.recipe_text import Name, PlatformGlob, RelPath

MacroName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]
LibraryName = Annotated[str, StringConstraints(pattern=r"^python\d+$")]


class Headers(Frozen):
    """Where the headers of some platforms come from, and what has to be changed in their pyconfig.h.

    They come from a pinned package of a sysroot, or, where `sysroot` is empty, from CPython's own source.
    """

    platform: tuple[PlatformGlob, ...] = Field(min_length=1, description="globs of platform tags")
    sysroot: str = Field(default="", description="name of a file in `toolchains/sysroots/`, without `.toml`")
    package: str = Field(default="", description="the package of that sysroot that holds the headers")
    include: RelPath = Field(description="directory of Python.h in the package or the source")
    pyconfig: RelPath = Field(description="the platform's pyconfig.h, or the template of it")
    prelude: str = Field(default="", description="C that is put before the first line of pyconfig.h")
    ones: tuple[MacroName, ...] = Field(default=(), description="names that this platform's pyconfig.h defines as 1")
    values: dict[MacroName, str] = Field(default_factory=dict, description="names that it defines as something else")
    undefined: tuple[MacroName, ...] = Field(default=(), description="names that it does not define")
    import_libraries: dict[LibraryName, RelPath] = Field(
        default_factory=dict,
        description="import library -> file or directory of the source that names what the DLL exports",
    )


class Part(Frozen):
    """One build of a compiled interpreter: a static library that its modules link, or CPython itself."""

    name: Name = Field(description="for messages: `libffi`")
    location: tuple[Location, ...] = Field(
        default=(), description="the source archive: alternatives; none: CPython's own, which the file names"
    )
    build: Build = Field(description="as in a recipe")


class Compiled(Frozen):
    """An interpreter that the farm compiles, for platforms that have none to be fetched. Tests run with it; no part of
    any build key."""

    platform: tuple[PlatformGlob, ...] = Field(min_length=1, description="globs of platform tags")
    part: tuple[Part, ...] = Field(min_length=1, description="built one after the other, into one prefix")


class Assembled(Frozen):
    """An interpreter for Windows, put together of published binaries, the standard library of the build's
    interpreter and a small program of the farm that starts it. Tests run with it; no part of any build key."""

    platform: tuple[PlatformGlob, ...] = Field(min_length=1, description="globs of platform tags")
    location: tuple[Location, ...] = Field(min_length=1, description="an archive with Python's DLL and modules")
    folder: RelPath = Field(description="the directory of the archive in which they lie")
    beside: tuple[str, ...] = Field(description="globs of names: what lies beside the program, as Python's DLL does")
    modules: tuple[str, ...] = Field(description="globs of names: extension modules, and the DLLs that they need")
    drop: tuple[str, ...] = Field(default=(), description="globs of names that are left out")


class Python(Frozen):
    """One CPython."""

    format: int = Field(ge=1, le=1, description="of this file: 1")
    tag: str = Field(pattern=r"^cp3\d+$", description="as wheels spell it: cp313; the file's name")
    version: str = Field(pattern=r"^3\.\d+\.\d+$", description="the whole version of the headers: `3.13.5`")
    build: dict[str, str] = Field(
        default_factory=dict,
        description="sysroot with the interpreter that runs builds, by the build machine's architecture",
    )
    source: tuple[Location, ...] = Field(default=(), description="CPython's own source archive: alternatives")
    source_version: str = Field(
        default="",
        pattern=r"^(3\.\d+\.\d+)?$",
        description="the whole version of that source, where it is another than that of the packages' headers",
    )
    headers: tuple[Headers, ...] = Field(min_length=1)
    compiled: tuple[Compiled, ...] = Field(default=(), description="interpreters for tests that the farm compiles")
    assembled: tuple[Assembled, ...] = Field(default=(), description="interpreters for tests on Windows")

    @property
    def short(self) -> str:
        """``3.13``."""
        return self.version.rpartition(".")[0]

    def version_of(self, headers: Headers) -> str:
        """The whole version of one entry's headers: ``3.13.5``."""
        return self.version if headers.sysroot else self.source_version or self.version

    def headers_for(self, platform: str) -> Headers | None:
        """The first entry that is for a platform; None if it has none."""
        return _first(self.headers, platform)

    def compiled_for(self, platform: str) -> Compiled | None:
        """The same of interpreters that are compiled."""
        return _first(self.compiled, platform)

    def assembled_for(self, platform: str) -> Assembled | None:
        """The same of interpreters that are put together."""
        return _first(self.assembled, platform)


_Entry = TypeVar("_Entry", Headers, Compiled, Assembled)


def _first(entries: tuple[_Entry, ...], platform: str) -> _Entry | None:
    return next((entry for entry in entries if any(fnmatchcase(platform, glob) for glob in entry.platform)), None)
