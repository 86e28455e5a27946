"""What a kind of runner is made from: the platform, this machine, and the sysroots that can be had."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from farm import sysroot
from farm.errors import MissingToolError
from farm.model.sysroot import Sysroot
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.runners.values import MadePython, Maker
from farm.settings import Settings, on_linux

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_PACKAGES = {"qemu-*-static": "qemu-user-static", "bwrap": "bubblewrap", "linux32": "util-linux"}
"""Globs of programs -> the package that has them, where it is called otherwise."""

_NEWEST_GLIBC = 2, 41
_NEWEST_MUSL = 1, 2
_OLD_NAMES = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_FLOOR = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A sysroot on this disk."""

    pinned: Sysroot
    root: Path

    @property
    def loader(self) -> Path:
        return self.root / (self.pinned.loader or "")

    @property
    def library_path(self) -> str:
        return ":".join(str(self.root / path) for path in self.pinned.library_path)

    def program(self, name: str) -> Path:
        """Raises MissingToolError if the sysroot's file does not say where it is."""
        path = self.pinned.programs.get(name)
        if path is None:
            raise MissingToolError(
                f"the sysroot {self.pinned.name} names no program {name!r}",
                fix=f"add it to [programs] of toolchains/sysroots/{self.pinned.name}.toml",
            )
        return self.root / path


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`machine` is the build machine's architecture. Without `settings` nothing is fetched, without `maker` no Python
    is made."""

    toolchain: Toolchain
    machine: str
    sysroots: Mapping[str, Sysroot] = field(default_factory=dict)
    settings: Settings | None = None
    maker: Maker | None = None

    @property
    def is_own(self) -> bool:
        """Whether this machine runs the platform's instructions itself."""
        return on_linux() and self.toolchain.arch == self.machine

    def python_sysroot(self, version: str) -> str:
        """The name of the sysroot with a Python: ``debian-arm64-python3.13`` beside ``debian-arm64``."""
        return f"{self.toolchain.run.sysroot}-python{version}"

    @property
    def has_pythons(self) -> bool:
        """Whether there are sysroots with Pythons of the platform."""
        return any(name.startswith(self.python_sysroot("")) for name in self.sysroots)

    def made_python(self, version: str, cancel: Cancel | None = None) -> MadePython:
        """The Python that the farm makes for the platform. Raises MissingToolError, and what the maker raises."""
        if self.maker is None:
            raise MissingToolError(f"nobody makes a Python {version} for {self.toolchain.platform} here")
        return self.maker(self.toolchain, version, cancel)

    def place(self, name: str, cancel: Cancel | None = None) -> Place:
        """A sysroot, fetched if need be. Raises MissingToolError, and what `sysroot.materialise` raises."""
        pinned = self.sysroots.get(name)
        if pinned is None:
            raise MissingToolError(
                f"there is no sysroot {name or '(none is named)'} for {self.toolchain.platform}",
                fix=f"write toolchains/sysroots/{name}.toml" if name else "name one in [run] of the toolchain",
            )
        if self.settings is None:
            raise MissingToolError(f"the sysroot {name} is not there", fix=f"farm toolchain sysroot {name}")
        return Place(pinned=pinned, root=sysroot.materialise(pinned, self.settings, cancel=cancel))

    def provider(self, program: str) -> Sysroot | None:
        """The sysroot that has a program which runs on this machine."""
        fitting = (s for s in self.sysroots.values() if s.machine == self.machine and program in s.programs)
        return next(fitting, None)

    def tool(self, program: str, cancel: Cancel | None = None) -> Path:
        """A program of this machine: the pinned one if a sysroot has it, else the one that is installed.

        Raises MissingToolError if there is neither.
        """
        provider = self.provider(program)
        if provider is not None:
            return self.place(provider.name, cancel).program(program)
        found = installed(program)
        if found is None:
            raise MissingToolError(f"the program {program} is not on this machine", fix=install_command(program))
        return found


def install_command(program: str) -> str:
    """The command that installs a program of this machine."""
    package = next((package for glob, package in _PACKAGES.items() if fnmatchcase(program, glob)), program)
    return f"apt-get install {package}"


def installed(program: str) -> Path | None:
    """Where this machine has a program."""
    found = shutil.which(program, path=_PATH)
    return Path(found) if found else None


def wheel_platforms(toolchain: Toolchain) -> tuple[str, ...]:
    """The platform tags that a Python of the platform takes, newest first: for pip, which knows only this machine's."""
    match = _FLOOR.fullmatch(toolchain.platform)
    if match is None:
        return (toolchain.platform,)
    family, arch = match[1], match[4]
    (major, newest), oldest = (_NEWEST_GLIBC, 5) if family == "manylinux" else (_NEWEST_MUSL, 0)
    tags = []
    for minor in range(newest, oldest - 1, -1):
        tags.append(f"{family}_{major}_{minor}_{arch}")
        if family == "manylinux" and (major, minor) in _OLD_NAMES:
            tags.append(f"{_OLD_NAMES[major, minor]}_{arch}")
    return (*tags, f"linux_{arch}")
