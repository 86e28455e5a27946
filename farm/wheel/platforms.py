"""What a wheel's platform tag promises: libc family, lowest version, architecture (PEP 425, 600, 656)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}  # PEP 600
_LEGACY_TAG = re.compile(r"(?P<kind>manylinux1|manylinux2010|manylinux2014)_(?P<arch>\w+)")
_TAG = re.compile(r"(?P<kind>manylinux|musllinux|macosx)_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
_MACHINES = {"win_amd64": "x86_64", "win32": "i686", "win_arm64": "aarch64", "arm64": "aarch64"}
_UNIVERSAL = {
    "universal2": frozenset({"x86_64", "aarch64"}),
    "intel": frozenset({"x86_64", "i686"}),
    "universal": frozenset({"i686", "ppc"}),
}
_FAMILIES = {"manylinux": "glibc", "musllinux": "musl", "macosx": "macos"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTag:
    """A platform tag taken apart.

    `family` is ``glibc``, ``musl``, ``macos``, ``windows``, or empty where the tag does not tell (``linux_x86_64``).
    `floor` is the lowest version of libc or macOS it runs with, None where there is none. `arch` is as tags write it;
    for Windows and tags that are not known here it is the whole tag.
    """

    family: str
    floor: tuple[int, int] | None
    arch: str

    @property
    def machine(self) -> str:
        """The processor by the name that Linux tags have for it: ``aarch64`` for ``arm64`` and ``win_arm64``.

        ``universal2`` and the like, which are several, stay as they are.
        """
        return machine(self.arch)


def machine(arch: str) -> str:
    """One name for a processor that tags and formats call differently."""
    return _MACHINES.get(arch, arch)


def machines(arch: str) -> frozenset[str]:
    """All processors that an architecture stands for: two for ``universal2`` (also spelled ``x86_64+arm64``)."""
    return _UNIVERSAL.get(arch, frozenset(map(machine, arch.split("+"))))


def platform_tag(tag: str) -> PlatformTag:
    """Take one tag apart (not a compressed set). Any text has an answer."""
    if found := _LEGACY_TAG.fullmatch(tag):
        return PlatformTag(family="glibc", floor=_LEGACY[found["kind"]], arch=found["arch"])
    if found := _TAG.fullmatch(tag):
        floor = (int(found["major"]), int(found["minor"]))
        return PlatformTag(family=_FAMILIES[found["kind"]], floor=floor, arch=found["arch"])
    if tag.startswith("linux_"):
        return PlatformTag(family="", floor=None, arch=tag.removeprefix("linux_"))
    return PlatformTag(family="windows" if tag.startswith("win") else "", floor=None, arch=tag)
