"""Which shared libraries a process holds: the proof that there is one copy of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

_SHARED = re.compile(r"\.so(\.|$)|\.(dll|pyd)$", re.IGNORECASE)  # pyd: Python's extension modules on Windows
_ANCHOR = ".anchor.so"


def parse(maps: str) -> dict[str, tuple[str, ...]]:
    """File name -> paths of that name, from the text of ``/proc/<pid>/maps`` (proc(5)), sorted.

    Paths with spaces are kept whole; anchors are left out, they hold nothing.
    """
    paths: dict[str, set[str]] = {}
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or not fields[5].startswith("/"):
            continue
        path = fields[5].removesuffix(" (deleted)")
        name = PurePosixPath(path).name
        if _SHARED.search(name) and not name.endswith(_ANCHOR):
            paths.setdefault(name, set()).add(path)
    return {name: tuple(sorted(paths[name])) for name in sorted(paths)}


def read(pid: int | str = "self") -> dict[str, tuple[str, ...]]:
    """The libraries of a running process."""
    return parse(Path(f"/proc/{pid}/maps").read_text("utf-8", "surrogateescape"))


def copies(mapped: Mapping[str, tuple[str, ...]], library: str) -> tuple[str, ...]:
    """Every mapped file that is a copy of `library` (link name) under any name: the shared name, the system's soname,
    a vendored ``libgmp-a1b2c3d4.so.10.5.0``. One is right; two are a duplicate."""
    name = re.compile(rf"(lib)?{re.escape(library)}([-_][0-9A-Za-z]+)*(\.so(\.[0-9.]+)?|\.dll)", re.IGNORECASE)
    return tuple(path for file, paths in mapped.items() if name.fullmatch(file) for path in paths)


def duplicates(mapped: Mapping[str, tuple[str, ...]], libraries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The libraries (link names) of which more than one file is mapped, with the files."""
    found = {library: copies(mapped, library) for library in libraries}
    return {library: paths for library, paths in found.items() if len(paths) > 1}
