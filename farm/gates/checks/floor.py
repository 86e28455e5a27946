"""The oldest libc or system that the binaries run on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from farm.gates import data
from farm.gates.checks._base import Check
from farm.gates.checks.undefined import is_of_python, visible_libraries
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding, Severity
from farm.model.shown import counted, some
from farm.wheel.names import musl_libc

_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.(\d+))?")
_SYSTEMS = {BinaryFormat.PE: "Windows", BinaryFormat.MACHO: "macOS"}


def _glibc(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    if policy.libc != "glibc":
        return
    for file, linkage in wheel.binaries.items():
        above = [version for version in _versions(linkage) if not _fits(version, policy.floor)]
        for version in above:
            users = sorted({s.name for s in linkage.imports if s.version == version})
            wanted = f" (for {some(users, policy.shown)})" if users else ""
            yield GLIBC.finding(
                file, f"needs {version}{wanted}, but {policy.platform} promises to run on glibc {_dotted(policy.floor)}"
            )


def _versions(linkage: Linkage) -> list[str]:
    found = {v for versions in linkage.version_needs.values() for v in versions if v.startswith("GLIBC_")}
    return sorted(found)


def _fits(version: str, floor: tuple[int, int]) -> bool:
    found = _VERSION.fullmatch(version)
    return found is not None and (int(found[1]), int(found[2])) <= floor


def _musl(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    """musl has no symbol versions: an import that no other library defines must be a name that the old musl has."""
    if policy.libc != "musl":
        return
    visible = visible_libraries(wheel, policy.libraries)
    libc, known = musl_libc(policy.arch), data.musl_symbols(policy.arch)
    for file, linkage in wheel.binaries.items():
        if "libc.so" in linkage.needed:
            yield MUSL.finding(
                file,
                f"needs libc.so, a name that only a linker knows: the file is called {libc}",
                "let `farm repair` write the name (it does so in every wheel it repairs), or link with -lc of the "
                "toolchain",
            )
        others = [name for name in linkage.needed if name not in (libc, "libc.so")]
        if any(name not in visible for name in others):
            continue  # a finding of its own: it may define anything
        elsewhere = {symbol.name for name in others for symbol in visible[name].exports}
        own = {symbol.name for symbol in linkage.exports}
        lost = sorted(
            symbol.name
            for symbol in linkage.imports
            if not symbol.weak
            and symbol.name not in known
            and symbol.name not in elsewhere
            and symbol.name not in own
            and not is_of_python(symbol.name)
        )
        if lost:
            yield MUSL.finding(
                file,
                f"imports {counted(len(lost), 'symbol')} that musl {data.musl_version()} does not have: "
                f"{some(lost, policy.shown)}",
            )


def _system(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        system = _SYSTEMS.get(linkage.format)
        if system is None:
            continue
        if linkage.os_floor > policy.floor:
            yield SYSTEM.finding(
                file,
                f"asks for {system} {_dotted(linkage.os_floor)}, but {policy.platform} promises to run on "
                f"{_dotted(policy.floor)}",
            )
        elif linkage.os_floor == (0, 0) and linkage.format is BinaryFormat.MACHO:
            yield SYSTEM.finding(
                file, "does not say which macOS it needs (no LC_BUILD_VERSION)", severity=Severity.WARNING
            )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


GLIBC = Check(
    name="glibc-floor",
    meaning="No binary needs a symbol of a newer glibc than the wheel's platform tag promises (PEP 600). Private "
    "versions (`GLIBC_PRIVATE`, `GLIBC_ABI_DT_RELR`) never fit.",
    remedy="build with the toolchain of this platform (its compiler's target carries the floor), or tag the wheel for "
    "a newer one",
    run=_glibc,
)
MUSL = Check(
    name="musl-floor",
    meaning="No binary needs a function that musl 1.2.3 does not have, the oldest 1.2 that distributions still ship "
    "(`farm/gates/data/musl.toml`): musl has no symbol versions that would tell. musl's libc is needed by the name it "
    "has on users' machines, `libc.musl-<arch>.so.1`.",
    remedy="do without the function: let configure not find it (a cache variable such as ac_cv_func_preadv2=no)",
    run=_musl,
)
SYSTEM = Check(
    name="os-floor",
    meaning="No binary asks for a newer macOS, or Windows, than the platform tag promises.",
    remedy="build with the toolchain of this platform (its compiler's target carries the version), or tag the wheel "
    "for a newer system",
    run=_system,
)
