"""Run paths are relative and stay in site-packages."""

from __future__ import annotations

from collections.abc import Iterator

from farm.binary.lookup import LOOKUPS, Lookup
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    known = {library.directory for library in policy.libraries.values()}
    folders = _folders(wheel) | known
    for file, linkage in wheel.binaries.items():
        style = LOOKUPS[linkage.format]
        for tag, entries in (("RUNPATH", linkage.runpath), ("RPATH", linkage.rpath)):
            for entry in entries:
                fact = _objection(entry, style)
                if fact:
                    yield CHECK.finding(file, f"{tag} entry {entry!r} {fact}")
        for place in wheel.search_path(file):
            if place == ".." or place.startswith("../"):
                yield CHECK.finding(file, f"its run path leaves site-packages: {place}")
            elif place not in folders and not place.startswith("native_"):
                yield CHECK.finding(
                    file, f"its run path leads to {place}, which no wheel seen here has", severity=policy.house
                )


def _objection(entry: str, style: Lookup) -> str:
    if style.below_origin(entry) is not None:
        rest = entry.partition("/")[2]
        return "uses a variable that differs between systems" if "$" in rest else ""
    if not entry:
        return "is empty: the loader searches the current directory, where anybody may put a library"
    if entry.startswith("/"):
        return "is absolute: a path of the machine that built it"
    return f"is not relative to {style.origins[0]}" if style.origins else "means nothing to this system"


def _folders(wheel: WheelContents) -> set[str]:
    found = {"."}
    for file in wheel.files:
        place = wheel.installed(file)
        while place and "/" in place:
            place = place.rpartition("/")[0]
            found.add(place)
    return found


CHECK = Check(
    name="run-path",
    meaning="RPATH and RUNPATH entries start with `$ORIGIN` (macOS: `@loader_path`), stay inside site-packages and "
    "lead somewhere. An absolute entry is a leaked build path: at best useless, at worst somebody else's directory.",
    remedy="set the run path when linking (the farm does), or on Linux rewrite it with `patchelf --set-rpath`",
    run=_run,
)
