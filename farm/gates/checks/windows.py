"""What only Windows' binaries can get wrong: the C run time they use and the protections they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from farm.gates import data
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding
from farm.model.shown import some

_UNIVERSAL = ("api-ms-win-crt-*", "ucrtbase.dll")
_WANTED = ("nx", "aslr")
_WIDE = "high-entropy-va"


def _runtime(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        if linkage.format is not BinaryFormat.PE:
            continue
        for debug in _among(linkage, data.windows("debug_runtimes")):
            yield RUNTIME.finding(
                file, f"needs {debug}, which only development machines have", "build without /MDd and _DEBUG"
            )
        old = _among(linkage, data.windows("old_runtimes"))
        universal = _among(linkage, _UNIVERSAL)
        if old and universal:
            yield RUNTIME.finding(file, f"mixes two C run times: {some(old, 3)} and the universal one ({universal[0]})")
        elif old:
            yield RUNTIME.finding(
                file,
                f"uses {some(old, 3)}, another C run time than CPython's: memory, FILE and errno do not go across",
                severity=policy.house,
            )


def _among(linkage: Linkage, globs: frozenset[str] | tuple[str, ...]) -> list[str]:
    """Needed DLLs that match one of the globs; a debug run time's name matches those of release ones too."""
    return [name for name in linkage.needed if any(fnmatchcase(name.lower(), glob) for glob in globs)]


def _protections(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        if linkage.format is BinaryFormat.PE:
            wanted = (*_WANTED, _WIDE) if linkage.bits == 64 else _WANTED
            missing = [name for name in wanted if name not in linkage.hardening]
            if missing:
                yield PROTECTIONS.finding(
                    file,
                    f"does not ask Windows for {' and '.join(missing)}",
                    severity=policy.house,
                )


RUNTIME = Check(
    name="c-runtime",
    meaning="Windows: no binary uses a C run time of its own beside the universal one (UCRT) of CPython: what one "
    "allocates, the other must not free. No debug run time, which users do not have.",
    remedy="build everything with the toolchain of this platform, which uses the UCRT",
    run=_runtime,
)
PROTECTIONS = Check(
    name="protections",
    meaning="Windows: binaries allow no execution of data (NX) and loading at any address (ASLR; high-entropy where "
    "addresses have 64 bits).",
    remedy="link with --nxcompat --dynamicbase --high-entropy-va (MSVC: /NXCOMPAT /DYNAMICBASE /HIGHENTROPYVA)",
    run=_protections,
)
