"""Metadata overlays as values: what a signed file says is to be corrected in wheels that are published already.

An overlay can change Requires-Dist and Requires-Python, nothing else: no name, no version, no file of the wheel. The
file is untrusted input, read by `farm.index.overlay_file`. docs/index.md shows one, and its life.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints
from pydantic import model_validator as check_model

from farm.errors import BinaryFormatError
from farm.model import pypa
from farm.model.base import Frozen
from farm.wheel import names

_FEW = 200  # entries of a list


def _project(value: str) -> str:
    if canonicalize_name(value) != value:
        raise ValueError(f"{value!r} is not a normalised project name: write {canonicalize_name(value)!r}")
    return value


def _requirement(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{value!r} is not one printable line")
    try:
        parsed = pypa.requirement(value)
    except InvalidRequirement as error:
        raise ValueError(f"{value!r} is not a requirement (PEP 508): {error}".splitlines()[0]) from error
    if parsed.url is not None:
        raise ValueError(f"{value!r} names a URL: an overlay does not say where a wheel comes from")
    return value


def _bound(value: str) -> str:
    parsed = pypa.requirement(_requirement(value))
    if not parsed.specifier or parsed.marker is not None or parsed.extras:
        raise ValueError(f"{value!r} is to be a project and a bound, such as 'native-gmp<11!0': marker and extras stay")
    return value


def _specifier(value: str) -> str:
    try:
        pypa.specifiers(value)
    except InvalidSpecifier as error:
        raise ValueError(f"{value!r} is not a version specifier (PEP 440), such as '>=2.2,<2.4'") from error
    return value


def _wheel(value: str) -> str:
    try:
        names.parse(value)
    except BinaryFormatError as error:
        raise ValueError(error.what) from error
    return value


def _moment(value: object) -> datetime:
    """A TOML date is the beginning of that day in UTC. Text and numbers are no moments."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"has no time zone: write {value.isoformat()}Z for UTC")
        if not 2000 <= value.year < 3000:
            raise ValueError("is not in this millennium")
        return value
    if isinstance(value, date):
        return _moment(datetime.combine(value, time(), UTC))
    raise ValueError("is not a TOML date or time: write 2027-02-01 or 2027-02-01T12:00:00Z, without quotes")


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one printable line")
    return value


_Text = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_line)]
_Short = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,198}[a-z0-9])?$")]
Project = Annotated[_Short, AfterValidator(_project)]
Requires = Annotated[_Short, AfterValidator(_requirement)]
Bound = Annotated[_Short, AfterValidator(_bound)]
Specifier = Annotated[_Short, AfterValidator(_specifier)]
WheelFile = Annotated[_Short, AfterValidator(_wheel)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class RequiresDist(Frozen):
    """What happens to Requires-Dist entries. A project may be named once, in one of the lists."""

    tighten: tuple[Bound, ...] = Field(
        default=(), max_length=_FEW, description="bounds that are added to each entry of the project; markers stay"
    )
    replace: tuple[Requires, ...] = Field(
        default=(), max_length=_FEW, description="entries that stand in the place of all entries of their project"
    )
    add: tuple[Requires, ...] = Field(default=(), max_length=_FEW, description="new entries")
    remove: tuple[Project, ...] = Field(default=(), max_length=_FEW, description="projects whose entries go")

    def touched(self) -> tuple[str, ...]:
        """The projects that are named, normalised, in order; twice if they are named twice."""
        lines = (*self.tighten, *self.replace, *self.add)
        return (*(canonicalize_name(pypa.requirement(line).name) for line in lines), *self.remove)

    @check_model(mode="after")
    def _once(self) -> RequiresDist:
        changed = (*self.tighten, *self.replace)
        seen: list[str] = []
        for project in (*(canonicalize_name(pypa.requirement(line).name) for line in changed), *self.remove):
            if project in seen:
                raise ValueError(f"{project} is named twice: say in one entry what happens to it")
            seen.append(project)
        if both := {canonicalize_name(pypa.requirement(line).name) for line in self.add} & set(seen):
            raise ValueError(f"{min(both)} is added and changed: say in one entry what happens to it")
        return self


class Overlay(Frozen):
    """One correction: of which wheels, what, why, by whom, until when.

    `versions` is a PEP 440 specifier (pre-releases included), `files` exact file names as they were published; one of
    them is given. `created` and `expires` are moments.
    """

    format: Literal[1]
    name: Name
    project: Project
    versions: Specifier | None = None
    files: tuple[WheelFile, ...] = Field(default=(), max_length=_FEW)
    reason: _Text
    author: _Text
    created: Moment
    expires: Moment
    requires_python: Specifier | None = None
    requires: RequiresDist = RequiresDist()

    @check_model(mode="after")
    def _whole(self) -> Overlay:
        if (self.versions is None) == (not self.files):
            raise ValueError("says which wheels by `versions` or by `files`: give one of the two")
        for file in self.files:
            if (other := names.parse(file).project) != self.project:
                raise ValueError(f"`files` names a wheel of {other}, but the overlay is of {self.project}")
        if not self.requires.touched() and self.requires_python is None:
            raise ValueError("changes nothing: give `requires_python`, or an entry in [requires]")
        if self.expires <= self.created:
            raise ValueError("`expires` is not after `created`")
        return self

    def selects(self, filename: str, version: str) -> bool:
        """Whether it is about this wheel of its project. `version` is a public version of PEP 440."""
        if self.versions is None:
            return filename in self.files
        return pypa.specifiers(self.versions).contains(version, prereleases=True)
