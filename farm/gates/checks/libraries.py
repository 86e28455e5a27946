"""Every library a binary needs is one it may have and can find."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity
from farm.wheel.system_libraries import is_libpython


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    places = _directories_by_name(wheel)
    system = policy.system_libraries | frozenset(policy.allow_libraries)
    for file, linkage in wheel.binaries.items():
        search = wheel.search_path(file)
        for needed in dict.fromkeys(linkage.needed):
            if needed in system:
                continue
            yield from _judge(policy, file, needed, search, places)


def _judge(
    policy: AuditPolicy,
    file: str,
    needed: str,
    search: tuple[str, ...],
    places: dict[str, set[str]],
) -> Iterator[Finding]:
    known = policy.libraries.get(needed)
    if "/" in needed:
        yield CHECK.finding(file, f"needs a library by path: {needed}", "give the library a soname when it is linked")
    elif needed in places:
        if not places[needed] & set(search):
            yield _unreachable(policy, file, needed, sorted(places[needed])[0], search)
    elif known is not None:
        if known.directory and known.directory not in search:
            yield _unreachable(policy, file, needed, known.directory, search)
    elif is_libpython(needed):
        yield CHECK.finding(
            file,
            f"needs {needed}, which most Python installations do not have as a shared library",
            "do not link extension modules to libpython: the interpreter has its symbols already",
        )
    else:
        yield CHECK.finding(
            file,
            f"needs {needed}, which is not in the wheel, not one of the farm's and not promised by {policy.platform}",
        )


def _directories_by_name(wheel: WheelContents) -> dict[str, set[str]]:
    """The site-packages directories in which each file name lies: what the loader's search can hit."""
    places: dict[str, set[str]] = {}
    for file in wheel.binaries:
        place = wheel.installed(file)
        if place is not None:
            folder, _, name = place.rpartition("/")
            places.setdefault(name, set()).add(folder or ".")
    return places


def _unreachable(policy: AuditPolicy, file: str, needed: str, place: str, search: tuple[str, ...]) -> Finding:
    looks = ", ".join(search) or "no directory at all"
    return CHECK.finding(
        file,
        f"needs {needed}, which lies in {place}, but its run path leads to {looks}",
        f"give it a RUNPATH entry that leads from its own directory to {place}, relative to $ORIGIN",
        Severity.ERROR if policy.strict else Severity.WARNING,
    )


CHECK = Check(
    name="libraries",
    meaning="Each needed library is promised by the platform (`system_libraries` of the toolchain), or is one of the "
    "farm's shared libraries, or lies in the wheel; the last two are on the binary's run path. `libpython` is never "
    "needed by an extension module.",
    remedy="require it as a native library (requires.host), or if it is really a system library on every such system, "
    "say so in audit.allow_libraries with the reason",
    run=_run,
)
