"""Every library a binary needs is one it may have and can find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from farm.binary.lookup import LOOKUPS, Lookup, below
from farm.gates import data
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding, Severity
from farm.wheel.system_libraries import is_libpython

_ADDS_DIRECTORIES = b"add_dll_directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binary:
    """One binary and what its loader sees."""

    file: str
    linkage: Linkage
    lookup: Lookup
    folder: str
    search: tuple[str, ...]


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    for file, linkage in wheel.binaries.items():
        style = LOOKUPS[linkage.format]
        binary = _Binary(
            file=file,
            linkage=linkage,
            lookup=style,
            folder=(wheel.installed(file) or "").rpartition("/")[0],
            search=wheel.search_path(file),
        )
        places = _directories_by_name(wheel, style)
        for needed in dict.fromkeys(linkage.needed):
            if not policy.promises(needed, linkage.format):
                yield from _judge(wheel, policy, binary, needed, places)


def _judge(
    wheel: WheelContents, policy: AuditPolicy, binary: _Binary, needed: str, places: Mapping[str, set[str]]
) -> Iterator[Finding]:
    style = binary.lookup
    key = style.key(needed)
    known = policy.libraries.get(key)
    if "/" in needed and not _is_relative(style, needed):
        yield CHECK.finding(
            binary.file,
            f"needs a library by path: {needed}",
            f"give the library a name when it is linked: {style.name_prefix or 'a soname without a path'}",
        )
    elif key in places:
        search = _search(wheel, binary, needed)
        if search is not None and not places[key] & set(search):
            yield _unreachable(policy, binary, needed, sorted(places[key])[0])
    elif known is not None:
        if style.origins and known.directory not in binary.search:
            yield _unreachable(policy, binary, needed, known.directory)
    elif _is_interpreter(binary.linkage, needed):
        yield from _interpreter(wheel, binary, needed)
    else:
        yield CHECK.finding(
            binary.file,
            f"needs {needed}, which is not in the wheel, not in a native wheel that the audit was shown, "
            f"and not promised by {policy.platform}",
        )


def _is_relative(style: Lookup, needed: str) -> bool:
    return style.paths and (needed.startswith(style.name_prefix) or style.below_origin(needed) is not None)


def _search(wheel: WheelContents, binary: _Binary, needed: str) -> tuple[str, ...] | None:
    """The directories in which the loader looks for a library of the same wheel; None if only running code knows."""
    if binary.lookup.own_directory and any(
        _ADDS_DIRECTORIES in data for file, data in wheel.files.items() if file.endswith(".py")
    ):
        return None
    rest = binary.lookup.below_origin(needed)
    return binary.search if rest is None else (below(binary.folder, rest.rpartition("/")[0]),)


def _is_interpreter(linkage: Linkage, needed: str) -> bool:
    if linkage.format is BinaryFormat.PE:
        return any(fnmatchcase(needed.lower(), glob) for glob in data.windows("interpreter"))
    return is_libpython(needed)


def _interpreter(wheel: WheelContents, binary: _Binary, needed: str) -> Iterator[Finding]:
    """On Windows extension modules do link to the interpreter; elsewhere its symbols are there already."""
    if binary.linkage.format is not BinaryFormat.PE:
        yield CHECK.finding(
            binary.file,
            f"needs {needed}, which most Python installations do not have as a shared library",
            "do not link extension modules to libpython: the interpreter has its symbols already",
        )
    elif wheel.is_native:
        yield CHECK.finding(
            binary.file,
            f"needs {needed}, which comes with Python: a native wheel serves every Python, and none",
            "build it with the farm's toolchain, which links to the C run time of Windows itself",
        )


def _directories_by_name(wheel: WheelContents, style: Lookup) -> dict[str, set[str]]:
    """The site-packages directories in which each file name lies: what the loader's search can hit."""
    places: dict[str, set[str]] = {}
    for file in wheel.binaries:
        place = wheel.installed(file)
        if place is not None:
            folder, _, name = place.rpartition("/")
            places.setdefault(style.key(name), set()).add(folder or ".")
    return places


def _unreachable(policy: AuditPolicy, binary: _Binary, needed: str, place: str) -> Finding:
    origin = binary.lookup.origins[0] if binary.lookup.origins else ""
    looks = ", ".join(binary.search) or "no directory at all"
    return CHECK.finding(
        binary.file,
        f"needs {needed}, which lies in {place}, but its run path leads to {looks}"
        if origin
        else f"needs {needed}, which lies in {place}, but only {looks} is searched: no Python code adds a directory",
        f"give it a run path entry that leads from its own directory to {place}, relative to {origin}"
        if origin
        else "put the DLL beside it, or call os.add_dll_directory before its import",
        Severity.ERROR if policy.strict else Severity.WARNING,
    )


CHECK = Check(
    name="libraries",
    meaning="Each needed library is promised by the platform (`system_libraries` of the toolchain), or is one of the "
    "farm's shared libraries, or lies in the wheel; the last two are on the binary's run path (Windows: in its own "
    "directory, or in one that Python code adds). `libpython` is never needed by an extension module, except on "
    "Windows, where it must be, and never by a native wheel.",
    remedy="require it as a native library (requires.host), or if it is really a system library on every such system, "
    "say so in audit.allow_libraries with the reason; a native wheel that is there already must be shown (--native)",
    run=_run,
)
