"""What overlays do to METADATA. Pure: headers in, headers out.

Only Requires-Dist and Requires-Python change; every other header and the description stay as they are, whoever wrote
them in whatever encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from farm.errors import OverlayError
from farm.index.overlay import Overlay, RequiresDist
from farm.model import pypa
from farm.wheel.metadata import Headers, project_of


def edited(headers: Headers, overlays: Sequence[Overlay], where: str) -> Headers:
    """METADATA after all overlays that select its wheel; the same headers if there is nothing to change.

    Their order does not matter: two that change the same entry are refused, but for bounds, which are all kept. Raises
    OverlayError naming the wheel (`where`) and the overlays.
    """
    _check_conflicts(headers, overlays, where)
    for overlay in sorted(overlays, key=lambda overlay: overlay.name):
        lines = requirements(headers.all("Requires-Dist"), overlay.requires, where)
        if lines != headers.all("Requires-Dist"):
            headers = headers.with_header("Requires-Dist", lines)
        python = overlay.requires_python
        if python is not None and headers.all("Requires-Python") != (python,):
            headers = headers.with_header("Requires-Python", (python,))
    return headers


def requirements(lines: Sequence[str], edits: RequiresDist, where: str) -> tuple[str, ...]:
    """Requires-Dist entries after the edits. What names a project that is not required does nothing."""
    tighten, replace = _by_project(edits.tighten), _by_project(edits.replace)
    found: list[str] = []
    for line in lines:
        project = project_of(line)
        if project in edits.remove:
            continue
        if project in replace:
            if replace[project] not in found:
                found.append(replace[project])
        else:
            found.append(_tightened(line, tighten[project], where) if project in tighten else line)
    return (*found, *(line for line in edits.add if line not in found))


def _tightened(line: str, bound: str, where: str) -> str:
    """The entry with one more bound; extras and marker stay. An entry that has the bound already stays as written."""
    try:
        requirement = pypa.requirement(line)
    except InvalidRequirement as error:
        raise OverlayError(
            f"its entry {line!r} is no requirement that bounds can be added to",
            where=where,
            fix="use `replace` for this project",
        ) from error
    if requirement.url is not None:
        raise OverlayError(
            f"its entry {line!r} names a URL: it has no bounds", where=where, fix="use `replace` for this project"
        )
    more = pypa.requirement(bound).specifier
    if set(more) <= set(requirement.specifier):
        return line
    requirement.specifier = requirement.specifier & more
    return _ordered(requirement)


def _ordered(requirement: Requirement) -> str:
    """As people write it: lower bounds first."""
    text = str(requirement)
    bounds = sorted(map(str, requirement.specifier), key=lambda one: (one.startswith("<"), one))
    return text.replace(str(requirement.specifier), ",".join(bounds), 1)


def _by_project(lines: Sequence[str]) -> dict[str, str]:
    return {canonicalize_name(pypa.requirement(line).name): line for line in lines}


def _check_conflicts(headers: Headers, overlays: Sequence[Overlay], where: str) -> None:
    required = {project_of(line) for line in headers.all("Requires-Dist")}
    taken: dict[str, tuple[str, bool]] = {}
    for overlay in overlays:
        for entry, is_bound in _entries(overlay, required):
            other, other_is_bound = taken.setdefault(entry, (overlay.name, is_bound))
            if other != overlay.name and not (is_bound and other_is_bound):
                first, second = sorted((other, overlay.name))
                raise OverlayError(
                    f"the overlays {first} and {second} both change {entry}",
                    where=where,
                    fix=f"`farm index overlay remove {first}` (or {second}), or let them select other wheels",
                )


def _entries(overlay: Overlay, required: set[str]) -> list[tuple[str, bool]]:
    """What an overlay changes in a wheel that requires `required`, each with whether it only adds a bound."""
    edits = overlay.requires
    bounds, added = _by_project(edits.tighten), _by_project(edits.add)
    entries = [(f"Requires-Dist: {p}", p in bounds) for p in edits.touched() if p in required or p in added]
    return entries + ([("Requires-Python", False)] if overlay.requires_python is not None else [])
