"""Which platform tag a wheel may carry: auditwheel's policies (data of the pinned version) applied to our linkages.

auditwheel's own analysis reads every symbol table anew in pure Python and knows the host's architecture only. The gate
`audit` asks it again before anything is published; here the tag is computed, which
tests/test_repair_cli.py holds to its verdicts.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.errors import GateError
from farm.model.binary import BinaryFormat
from farm.repair.graft import Binary
from farm.wheel.names import musl_libc
from farm.wheel.platforms import PlatformTag, machines, platform_tag
from farm.wheel.system_libraries import is_loader

LOWEST = (2, 17)  # older glibc: no native wheel and no installer that still matters
_MUSL_FLOOR = "musllinux_1_2"
_HELP = " (docs/recipes.md, symbols that a tag forbids)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    name: str
    floor: tuple[int, int]
    versions: dict[str, dict[str, frozenset[str]]]
    libraries: frozenset[str]
    forbidden: dict[str, frozenset[str]]


def family_of(binaries: Iterable[Binary], platform: str) -> tuple[str, str]:
    """libc family and architecture of a wheel. A plain ``linux_*`` tag does not tell the libc, its binaries do."""
    tag = platform_tag(platform)
    if tag.family or not platform.startswith("linux_"):
        return tag.family, tag.arch
    needed = {name for binary in binaries for name in binary.linkage.needed}
    return ("musl" if any(n == "libc.so" or n.startswith("libc.musl-") for n in needed) else "glibc"), tag.arch


def lowest(
    binaries: Sequence[Binary], family: str, arch: str, *, natives: Sequence[str], known: frozenset[str], where: str
) -> str:
    """The lowest tag that the binaries prove, not below what the native wheels (`natives`: their tags) need.

    `known` are library names that come from elsewhere: shared names. Raises GateError with what stands against every
    policy.
    """
    if family == "musl":
        _refuse(_foreign(binaries, frozenset({musl_libc(arch)}), known), f"{_MUSL_FLOOR}_{arch}", where)
        return f"{_MUSL_FLOOR}_{arch}"
    floor = max([LOWEST, *(found for tag in natives if (found := _floor(tag)))])
    against: list[str] = []
    for policy in _policies():
        if policy.floor >= floor and arch in policy.versions:
            against = _objections(binaries, policy, arch, known)
            if not against:
                return f"{policy.name}_{arch}"
    raise _refusal(against, f"any manylinux platform of {arch}", where)


def check(
    binaries: Sequence[Binary], platform: str, *, natives: Sequence[str] = (), known: frozenset[str], where: str
) -> None:
    """Raise GateError unless the binaries keep the promise of a tag.

    manylinux: symbol versions and libraries; Windows and macOS: architecture and lowest system; musllinux is the
    audit's. `natives` are the tags of the native wheels that are needed.
    """
    tag = platform_tag(platform)
    judge = _CHECKS.get(tag.family)
    if judge is not None:
        _refuse(judge(binaries, tag, natives, known), platform, where)


def _glibc_objections(
    binaries: Sequence[Binary], tag: PlatformTag, _natives: Sequence[str], known: frozenset[str]
) -> list[str]:
    suitable = [p for p in _policies() if tag.floor is not None and p.floor <= tag.floor and tag.arch in p.versions]
    if not suitable:
        return [f"no manylinux policy is so low for {tag.arch}"]
    return _objections(binaries, suitable[-1], tag.arch, known)


def _system_objections(
    binaries: Sequence[Binary], tag: PlatformTag, natives: Sequence[str], _known: frozenset[str]
) -> list[str]:
    """Architecture and lowest system version of files that say both themselves."""
    found = [
        f"{binary.member} is for {binary.linkage.arch}"
        for binary in binaries
        if not machines(tag.arch) <= machines(binary.linkage.arch)
    ]
    if tag.floor is None:
        return found
    lowest = ".".join(map(str, tag.floor))
    found += [
        f"{binary.member} asks for version {'.'.join(map(str, binary.linkage.os_floor))}, the tag promises {lowest}"
        for binary in binaries
        if binary.linkage.os_floor > tag.floor
    ]
    floors = {native: platform_tag(native).floor or (0, 0) for native in natives}
    return found + [f"it needs a native wheel for {native}" for native, floor in floors.items() if floor > tag.floor]


_CHECKS: Mapping[str, Callable[[Sequence[Binary], PlatformTag, Sequence[str], frozenset[str]], list[str]]] = {
    "glibc": _glibc_objections,
    "windows": _system_objections,
    "macos": _system_objections,
}


def _objections(binaries: Sequence[Binary], policy: _Policy, arch: str, known: frozenset[str]) -> list[str]:
    found = _foreign(binaries, policy.libraries, known)
    for binary in _elf(binaries):
        for library, versions in binary.linkage.version_needs.items():
            for version in versions:
                kind, _, number = version.partition("_")
                allowed = policy.versions[arch].get(kind)
                if allowed is not None and number not in allowed:
                    found.append(f"{binary.member} needs {version} of {library}")
        needed = frozenset(binary.linkage.needed)
        imported = {symbol.name for symbol in binary.linkage.imports}
        for library, symbols in policy.forbidden.items():
            if library in needed and (bad := sorted(symbols & imported)):
                found.append(f"{binary.member} imports {bad[0]}, which {library} does not promise to keep{_HELP}")
    return found


def _foreign(binaries: Sequence[Binary], allowed: frozenset[str], known: frozenset[str]) -> list[str]:
    inside = {name for binary in binaries for name in binary.names}
    return [
        f"{binary.member} needs {needed}, which is not in the wheel and not part of every such system"
        for binary in _elf(binaries)
        for needed in binary.linkage.needed
        if needed not in allowed and needed not in known and needed not in inside and not is_loader(needed)
    ]


def _elf(binaries: Iterable[Binary]) -> list[Binary]:
    return [binary for binary in binaries if binary.linkage.format is BinaryFormat.ELF]


def _floor(tag: str) -> tuple[int, int] | None:
    """The glibc version of a manylinux tag."""
    parsed = platform_tag(tag)
    return parsed.floor if parsed.family == "glibc" else None


def _refuse(objections: list[str], platform: str, where: str) -> None:
    if objections:
        raise _refusal(objections, platform, where)


def _refusal(objections: list[str], platform: str, where: str) -> GateError:
    shown = "; ".join(list(dict.fromkeys(objections))[:5])
    return GateError(
        f"cannot be tagged for {platform}: {shown}",
        where=where,
        fix="build it with a toolchain for that platform, and give the native wheels of what it links to with --native",
    )


@functools.cache
def _policies() -> tuple[_Policy, ...]:
    """manylinux policies, lowest floor first."""
    text = importlib.resources.files("auditwheel").joinpath("policy/manylinux-policy.json").read_text("utf-8")
    found = [_policy(row, floor) for row in json.loads(text) if (floor := _floor(f"{row['name']}_any")) is not None]
    return tuple(sorted(found, key=lambda policy: policy.floor))


def _policy(row: dict[str, Any], floor: tuple[int, int]) -> _Policy:
    return _Policy(
        name=row["name"],
        floor=floor,
        versions={
            arch: {kind: frozenset(numbers) for kind, numbers in table.items()}
            for arch, table in row["symbol_versions"].items()
        },
        libraries=frozenset(row["lib_whitelist"]),
        forbidden={library: frozenset(symbols) for library, symbols in row["blacklist"].items()},
    )
