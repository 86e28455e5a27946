"""Files that do not belong into a wheel."""

from __future__ import annotations

from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity
from farm.model.shown import some

_DEBUGGERS = (".pdb", ".ilk", ".exp")
_ARCHIVES = (b"!<arch>\n", b"!<thin>\n")
_IMPORT_OBJECT = b"`\n\0\0\xff\xff\0\0"  # the end of a member's header, then two signatures and version 0


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    compiled: list[str] = []
    for file, data in wheel.files.items():
        if data.startswith(_ARCHIVES) and not _is_import_library(file, data) and not policy.allows_archive(file):
            yield CHECK.finding(file, "is a static archive", severity=policy.house)
        elif file.endswith(".la"):
            yield CHECK.finding(file, "is a libtool file: it holds build paths", severity=policy.house)
        elif file.endswith((".o", ".obj")):
            yield CHECK.finding(file, "is an object file", severity=policy.house)
        elif file.endswith(_DEBUGGERS) or ".dSYM/" in file:
            yield CHECK.finding(file, "is for debuggers and linkers of the build machine", severity=policy.house)
        elif file.endswith((".pyc", ".pyo")) or "/__pycache__/" in f"/{file}":
            compiled.append(file)
    if compiled:
        yield CHECK.finding(
            compiled[0],
            f"is compiled Python code, which installers make anew: {some(compiled, policy.shown)}",
            severity=Severity.WARNING if not policy.strict else Severity.ERROR,
        )


def _is_import_library(file: str, data: bytes) -> bool:
    """Windows' import libraries are archives too, and belong into native wheels.

    They hold import objects, or (from GNU tools) sections for import tables; a static library has neither.
    """
    return file.endswith((".lib", ".dll.a")) and (_IMPORT_OBJECT in data or b".idata$" in data)


CHECK = Check(
    name="leftovers",
    meaning="The wheel holds no static archives (dependents would copy the library instead of sharing it), libtool "
    "files, object files, debuggers' files (`.pdb`, `.dSYM`) or compiled Python code. Import libraries of Windows are "
    "archives that do belong there, and so do archives of a dependent's own code that packages built on it link to "
    "(audit.allow_archives).",
    remedy="leave these files out when the wheel is staged",
    run=_run,
)
