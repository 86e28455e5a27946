"""What must hold for a toolchain beyond its schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from farm.catalog.faults import Fault, did_you_mean
from farm.model.toolchain import Toolchain

_OF_OS = {"linux": ("elf", ("glibc", "musl")), "windows": ("pe", ("ucrt",)), "macos": ("macho", ("libsystem",))}
_TAGS = {
    "glibc": re.compile(r"manylinux_(\d+)_(\d+)_(\w+)"),
    "musl": re.compile(r"musllinux_(\d+)_(\d+)_(\w+)"),
    "libsystem": re.compile(r"macosx_(\d+)_(\d+)_(\w+)"),
}
_WINDOWS = {"x86_64": "win_amd64", "i686": "win32", "aarch64": "win_arm64", "arm64": "win_arm64", "amd64": "win_amd64"}


def check(file: str, stem: str, toolchain: Toolchain) -> list[Fault]:
    """The faults of one toolchain; `stem` is its file name without ``.toml``."""
    if toolchain.platform != stem:
        why = f"is {toolchain.platform!r}, but the file is {stem}.toml: they must be equal"
        return [Fault(file=file, at=("platform",), why=why)]
    return [Fault(file=file, at=at, why=why) for rule in _RULES for at, why in rule(toolchain)]


def check_runs(toolchains: Mapping[str, Toolchain], sysroots: Collection[str]) -> list[Fault]:
    """The faults of `[run]` tables: what they name must be there. `sysroots` are the names of all files, readable or
    not."""
    return [
        Fault(
            file=f"toolchains/{platform}.toml",
            at=("run", "sysroot"),
            why=f"there is no toolchains/sysroots/{name}.toml{did_you_mean(name, sysroots)}",
        )
        for platform, toolchain in toolchains.items()
        if (name := toolchain.run.sysroot) and name not in sysroots
    ]


def _formats(toolchain: Toolchain) -> Iterator[tuple[tuple[str, ...], str]]:
    binary, libcs = _OF_OS[toolchain.os]
    if toolchain.binary != binary:
        yield ("binary",), f"{toolchain.binary!r} is not the format of {toolchain.os}: {binary!r} is"
    if toolchain.libc not in libcs:
        yield ("libc",), f"{toolchain.libc!r} is not a libc of {toolchain.os}: {' or '.join(libcs)} is"


def _tag(toolchain: Toolchain) -> Iterator[tuple[tuple[str, ...], str]]:
    """The platform tag promises a floor and an architecture; the fields must say the same."""
    if toolchain.libc == "ucrt":
        if _WINDOWS.get(toolchain.arch) != toolchain.platform:
            yield ("arch",), f"{toolchain.arch!r} is not the architecture of {toolchain.platform}"
        return
    match = _TAGS[toolchain.libc].fullmatch(toolchain.platform)
    if not match:
        yield ("platform",), f"{toolchain.platform!r} is not a wheel platform tag of {toolchain.libc}"
        return
    if (int(match[1]), int(match[2])) != toolchain.floor:
        yield ("floor",), f"{toolchain.floor} is not the floor that the tag {toolchain.platform} promises"
    if match[3] != toolchain.arch:
        yield ("arch",), f"{toolchain.arch!r} is not the architecture of the tag {toolchain.platform}"


def _patterns(toolchain: Toolchain) -> Iterator[tuple[tuple[str, ...], str]]:
    for pattern in toolchain.flags.rewrite:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            yield ("flags", "rewrite", pattern), f"is not a regular expression: {error}"


def _loader(toolchain: Toolchain) -> Iterator[tuple[tuple[str, ...], str]]:
    if toolchain.binary == "elf" and not toolchain.loader:
        yield ("loader",), "is missing: ELF platforms have a program interpreter"


_RULES: tuple[Callable[[Toolchain], Iterator[tuple[tuple[str, ...], str]]], ...] = (_formats, _tag, _patterns, _loader)
