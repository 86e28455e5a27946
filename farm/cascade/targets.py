"""Whom wheels are for: each platform at its floor with each Python, as tags (PEP 425) and environment markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from farm.index.contents import Contents
from farm.model.toolchain import Toolchain
from farm.wheel.platforms import platform_tag

_SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "macos": ("posix", "darwin", "Darwin"),
    "windows": ("nt", "win32", "Windows"),
}

# What `platform.machine()` says on Windows, whose tags are no names of processors.
_MACHINES = {"win_amd64": "AMD64", "win_arm64": "ARM64", "win32": "x86"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform at its floor, with a Python (``3.13``)."""

    platform: str
    python: str
    tags: Mapping[Tag, int]
    markers: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.platform} with Python {self.python}"


def targets(toolchains: Iterable[Toolchain], pythons: Iterable[str]) -> Iterator[Target]:
    """All platforms with all Pythons (``3.13``)."""
    versions = tuple(dict.fromkeys(pythons))
    for toolchain in toolchains:
        platforms = tuple(_platforms(toolchain))
        for python in versions:
            major, minor = (int(part) for part in python.split("."))
            own = f"cp{major}{minor}"  # else it is that of the Python that runs the farm: debug, free-threaded
            accepted = [
                *cpython_tags((major, minor), abis=[own], platforms=platforms),
                *compatible_tags((major, minor), interpreter=own, platforms=platforms),
            ]
            yield Target(
                platform=toolchain.platform,
                python=python,
                tags={tag: rank for rank, tag in reversed(list(enumerate(accepted)))},
                markers=_markers(toolchain, python),
            )


def _platforms(toolchain: Toolchain) -> Iterator[str]:
    """The platform tags that a machine at the platform's floor accepts, best first (PEP 600, 656, and macOS)."""
    tag = platform_tag(toolchain.platform)
    if tag.floor is None:
        yield toolchain.platform
    else:
        yield from _ACCEPTED[tag.family](tag.floor, tag.arch)


def _manylinux(floor: tuple[int, int], arch: str) -> Iterator[str]:
    yield from (f"manylinux_{floor[0]}_{minor}_{arch}" for minor in range(floor[1], 4, -1))
    yield from (f"{name}_{arch}" for name in ("manylinux2014", "manylinux2010", "manylinux1"))


def _musllinux(floor: tuple[int, int], arch: str) -> Iterator[str]:
    yield from (f"musllinux_{floor[0]}_{minor}_{arch}" for minor in range(floor[1], -1, -1))


_ACCEPTED: Mapping[str, Callable[[tuple[int, int], str], Iterator[str]]] = {
    "glibc": _manylinux,
    "musl": _musllinux,
    "macos": mac_platforms,
}
"""Family of a platform tag -> the tags that its machines accept, from the floor down."""


def _markers(toolchain: Toolchain, python: str) -> dict[str, str]:
    """The environment markers (PEP 508) of a target."""
    name, system, long = _SYSTEMS[toolchain.os]
    arch = platform_tag(toolchain.platform).arch
    return {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": name,
        "platform_machine": _MACHINES.get(arch, arch),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": long,
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": system,
    }


def pythons_of(contents: Contents) -> tuple[str, ...]:
    """The Pythons (``3.13``) that files are tagged for, in order."""
    found = {
        (int(tag.interpreter[2:3]), int(tag.interpreter[3:]))
        for published in contents.files.values()
        for tag in parse_wheel_filename(published.filename)[3]
        if tag.interpreter.startswith("cp") and tag.interpreter[3:].isdigit()
    }
    return tuple(f"{major}.{minor}" for major, minor in sorted(found))
