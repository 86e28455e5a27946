"""Wheels that cannot be offered because another one was not made: what requires it, and what requires that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from farm.wheel.names import WheelName, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A wheel that was asked for and is not there: its project, its platform, and its Python tag (``cp313``), empty if
    any Python takes it; `what` names it in sentences."""

    project: str
    python: str
    platform: str
    what: str


def held_back(
    wheels: Mapping[str, Sequence[Requirement]], absent: Iterable[Absent], served: Iterable[str]
) -> dict[str, str]:
    """File names of wheels that need one that is absent, and why.

    `wheels` gives what each wheel requires, by file name; `served` are the file names of what is offered already: an
    older release that a requirement admits is as good. Markers are not looked at: a requirement that may count, counts.
    """
    gone = list(absent)
    there = [parse(name) for name in {*served, *wheels}]
    held: dict[str, str] = {}
    while True:
        offered = [name for name in there if name.filename not in held]
        found = {
            filename: why
            for filename, requires in wheels.items()
            if filename not in held and (why := _why(parse(filename), requires, gone, offered))
        }
        if not found:
            return held
        held |= found
        gone += [_absent(parse(filename)) for filename in found]


def _absent(name: WheelName) -> Absent:
    return Absent(project=name.project, python=_python(name), platform=name.platform, what=name.filename)


def _python(name: WheelName) -> str:
    """The one Python that takes a wheel; empty if several do."""
    return "" if name.abi in ("abi3", "none") else name.python


def _why(wheel: WheelName, requires: Sequence[Requirement], gone: list[Absent], offered: list[WheelName]) -> str:
    """Why a wheel is held back; empty if it is not."""
    for requirement in requires:
        project = canonicalize_name(requirement.name)
        missing = [
            one for one in gone if canonicalize_name(one.project) == project and _meet(wheel, one.python, one.platform)
        ]
        if missing and not any(_serves(name, project, requirement, wheel) for name in offered):
            return f"it requires {requirement}, and {missing[0].what} is not there"
    return ""


def _serves(name: WheelName, project: str, requirement: Requirement, wheel: WheelName) -> bool:
    admitted = requirement.specifier.contains(name.parsed_version, prereleases=True)
    return name.project == project and admitted and _meet(wheel, _python(name), name.platform)


def _meet(wheel: WheelName, python: str, platform: str) -> bool:
    """Whether a wheel and another one may be installed together: on one platform, with one Python."""
    same_python = not python or _python(wheel) in ("", python)
    return same_python and (platform == wheel.platform or "any" in (platform, wheel.platform))
