"""No path of the machine that built it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.finding import Finding, Severity
from farm.model.shown import counted, some

# A path starts after anything that cannot be part of one; it names something below the prefix.
_BEFORE = re.compile(rb"[A-Za-z0-9_.}~%@+-]")
_REST = re.compile(rb"[A-Za-z0-9_@%+=:.,~-]+(?:/[A-Za-z0-9_@%+=:.,~-]*)*")
_TOOLS = (b"-I", b"-L", b"-isystem", b"-ffile-prefix-map=")
_LONGEST = 160
# Where people write examples: a path there is a leak only if it is one of the sandbox's own.
_PROSE = (".py", ".pyi", ".md", ".rst", ".txt", "/METADATA")
_SANDBOX = "/farm/"
# Directories in which Windows machines build, with something below them.
_WINDOWS = re.compile(
    rb"(?<![A-Za-z])[A-Za-z]:[\\/](?i:users|a|_work|work|build|builds|dev|src|source|projects|tmp|temp|bld)"
    rb"[\\/][A-Za-z0-9_@%+=:.,~ \\/-]{1,160}"
)
_PDB = re.compile(rb"RSDS.{20}([^\0]{1,512})\0", re.DOTALL)


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    prefixes = [prefix.encode() for prefix in policy.build_path_prefixes]
    for file, data in wheel.files.items():
        found = sorted({*(path for prefix in prefixes for path in _paths(data, prefix)), *_windows_paths(data)})
        if found:
            paths = [path.decode("ascii", "replace") for path in found]
            harmless = _is_prose(wheel, file) and not any(path.startswith(_SANDBOX) for path in paths)
            yield CHECK.finding(
                file,
                f"holds {counted(len(paths), 'build path')}: {some(paths, min(policy.shown, 3))}",
                severity=Severity.WARNING if harmless else policy.house,
            )


def _windows_paths(data: bytes) -> Iterator[bytes]:
    """Paths with a drive letter, and any directory in the place where a PE file names its debug information."""
    if b":\\" in data or b":/" in data:
        yield from _WINDOWS.findall(data)
    if data.startswith(b"MZ"):
        yield from (path for path in _PDB.findall(data) if b"\\" in path or b"/" in path)


def _is_prose(wheel: WheelContents, file: str) -> bool:
    return file.endswith(_PROSE) or file.startswith(f"{wheel.dist_info}/licenses/")


def _paths(data: bytes, prefix: bytes) -> Iterator[bytes]:
    at = data.find(prefix)
    while at >= 0:
        before = data[max(0, at - 20) : at]
        rest = _REST.match(data, at + len(prefix), at + len(prefix) + _LONGEST)
        starts = not _BEFORE.fullmatch(before[-1:]) or before.endswith(_TOOLS)
        # A mere `/tmp/x` is how programs name temporary files; builds leave something deeper.
        if rest and starts and (prefix != b"/tmp/" or b"/" in rest[0].rstrip(b"/")):
            yield prefix + rest[0]
        at = data.find(prefix, at + len(prefix))


CHECK = Check(
    name="build-paths",
    meaning="No member, binary or text, mentions a directory of the build machine (`/farm/...`, `/tmp/...`, a home, "
    "`D:\\a\\...`), and no PE file the directory of its `.pdb`. "
    "Such paths make builds differ, tell what nobody needs to know, and do not exist on users' machines. In Python "
    "sources and prose, where such paths are examples, it is a warning.",
    remedy="compile with -ffile-prefix-map, make .pc and CMake files relative, and patch sources that store their "
    "compiler's command line",
    run=_run,
)
