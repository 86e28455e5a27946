"""METADATA (core metadata 2.4) and WHEEL: header files that are changed without losing what is not understood.

Both are read as lines, not as e-mail: unknown headers, their order and the body survive a round trip byte for byte
(line ends become LF).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from farm.errors import BinaryFormatError
from farm.model import pypa
from farm.wheel import advice
from farm.wheel.names import WheelName

METADATA_VERSION = "2.4"  # PEP 639: License-Expression, License-File
_HEADER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)[ \t]*:[ \t]*(.*)")
_PROJECT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """A header file: `fields` in order (continuation lines stay inside a value), `body` the text after the blank line.

    `body` is None where there is no blank line. Names are compared without case.
    """

    fields: tuple[tuple[str, str], ...] = ()
    body: str | None = None

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order."""
        return tuple(value for key, value in self.fields if key.lower() == name.lower())

    def get(self, name: str) -> str:
        """The first value of a header, or an empty string."""
        return next(iter(self.all(name)), "")

    def with_header(self, name: str, values: Iterable[str]) -> Headers:
        """All values of a header replaced, where the first of them stood (else at the end); none removes it."""
        new = [(name, _one_field(name, value)) for value in values]
        kept: list[tuple[str, str]] = []
        place = -1
        for key, value in self.fields:
            if key.lower() != name.lower():
                kept.append((key, value))
            elif place < 0:
                place = len(kept)
        place = len(kept) if place < 0 else place
        return replace(self, fields=(*kept[:place], *new, *kept[place:]))

    def format(self) -> bytes:
        """The bytes of the file, fields in order, then the body."""
        lines = "".join(f"{key}: {value}\n" if value else f"{key}:\n" for key, value in self.fields)
        tail = "" if self.body is None else f"\n{self.body}"
        return (lines + tail).encode("utf-8", "surrogateescape")


def parse_headers(content: bytes, where: str) -> Headers:
    """Read METADATA or WHEEL. Raises BinaryFormatError for a line that is no header, or that some readers would take
    for two: a lone carriage return ends a line for `email`, with which installers read."""
    text = content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    head, blank, body = ("", "\n\n", text[1:]) if text.startswith("\n") else text.partition("\n\n")
    fields: list[tuple[str, str]] = []
    for line in head.split("\n"):
        if "\r" in line:
            raise BinaryFormatError(
                f"has the line {line[:80]!r}, which is two lines for some readers", where=where, fix=advice.BACKEND
            )
        if line[:1] in (" ", "\t") and fields:
            key, value = fields[-1]
            fields[-1] = (key, f"{value}\n{line}")
        elif found := _HEADER.fullmatch(line):
            fields.append((found[1], found[2]))
        elif line:
            raise BinaryFormatError(
                f"has the line {line[:80]!r}, which is not a header",
                where=where,
                fix=advice.BACKEND,
            )
    return Headers(fields=tuple(fields), body=body if blank else None)


def parse_metadata(content: bytes, name: WheelName, where: str) -> Headers:
    """Read a METADATA and check that it is of this wheel: Name and Version are the file name's, and make sense."""
    headers = parse_headers(content, where)
    for field in ("Metadata-Version", "Name", "Version"):
        if len(headers.all(field)) != 1:
            raise BinaryFormatError(
                f"METADATA needs exactly one {field}",
                where=where,
                fix=advice.BACKEND,
            )
    if canonicalize_name(headers.get("Name")) != name.project:
        raise BinaryFormatError(
            f"METADATA is of {headers.get('Name')!r}, the file name says {name.project!r}",
            where=where,
            fix=advice.RENAMED,
        )
    try:
        version = pypa.version(headers.get("Version"))
        pypa.specifiers(headers.get("Requires-Python"))
    except (InvalidVersion, InvalidSpecifier) as error:
        raise BinaryFormatError(
            f"METADATA: {error}", where=where, fix="write the version as PEP 440 has it (1.2.3, 1.2.3rc1, 1.2.3.post1)"
        ) from error
    if version != name.parsed_version:
        raise BinaryFormatError(
            f"METADATA is of version {version}, the file name says {name.version}",
            where=where,
            fix=advice.RENAMED,
        )
    return headers


def make_metadata(fields: Iterable[tuple[str, str]], *, body: str = "") -> bytes:
    """A METADATA from headers in order; `Metadata-Version` is put first, `body` is the description."""
    headers = Headers(fields=(("Metadata-Version", METADATA_VERSION),), body=body or None)
    for name, value in fields:
        headers = replace(headers, fields=(*headers.fields, (name, _one_field(name, value))))
    return headers.format()


def make_wheel_file(name: WheelName, *, generator: str, purelib: bool = False) -> bytes:
    """The WHEEL file that belongs to a file name. Native wheels are not purelib though their tag may be py3-none."""
    headers = Headers(
        fields=(("Wheel-Version", "1.0"), ("Generator", generator), ("Root-Is-Purelib", str(purelib).lower()))
    )
    return retagged(headers, name).format()


def retagged(wheel_file: Headers, name: WheelName) -> Headers:
    """A WHEEL file with the tags and the build tag of `name`."""
    tagged = wheel_file.with_header("Tag", name.tags)
    return tagged.with_header("Build", (name.build,) if name.build else ())


def check_wheel_file(headers: Headers, name: WheelName, where: str) -> None:
    """Raises BinaryFormatError if a WHEEL file disagrees with the file name or is of a format not known here."""
    if headers.get("Wheel-Version").partition(".")[0] != "1":
        raise BinaryFormatError(
            f"has Wheel-Version {headers.get('Wheel-Version')!r}, not 1.x",
            where=where,
            fix="use a newer release of the farm, or build the wheel with a backend that writes version 1",
        )
    if set(headers.all("Tag")) != set(name.tags):
        raise BinaryFormatError(
            f"WHEEL has the tags {', '.join(headers.all('Tag')) or 'none'}; the file name says {', '.join(name.tags)}",
            where=where,
            fix=advice.RETAG,
        )
    if headers.get("Build") != name.build:
        raise BinaryFormatError(
            f"WHEEL has build {headers.get('Build')!r}, the file name {name.build!r}",
            where=where,
            fix=advice.RETAG,
        )


def project_of(requirement: str) -> str:
    """The normalised project of a requirement, also where the rest of it is too old for `packaging`; else empty."""
    found = _PROJECT.match(requirement)
    return canonicalize_name(found[1]) if found else ""


def check_requirement(requirement: str, where: str) -> str:
    """The requirement as given. Raises BinaryFormatError if it is not PEP 508."""
    try:
        pypa.requirement(requirement)
    except InvalidRequirement as error:
        raise BinaryFormatError(
            f"{requirement!r} is not a requirement: {error}",
            where=where,
            fix="write it as PEP 508 has it: name>=1.0; marker",
        ) from error
    return requirement


def check_requirements(content: bytes, where: str) -> None:
    """Raise BinaryFormatError, with the line of METADATA, for the first Requires-Dist that installers cannot read."""
    headers = parse_headers(content, where)
    wanted = set(headers.all("Requires-Dist"))
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        field, _, value = line.partition(":")
        if field.strip().lower() == "requires-dist" and value.strip() in wanted:
            check_requirement(value.strip(), f"{where}: METADATA line {number}, Requires-Dist")
            wanted.discard(value.strip())
    for value in sorted(wanted):  # on several lines
        check_requirement(value, f"{where}: METADATA, Requires-Dist")


def _one_field(name: str, value: str) -> str:
    """A value must not start a header of its own."""
    lines = value.split("\n")
    if "\r" in value or "\0" in value or any(line[:1] not in (" ", "\t") or not line.strip() for line in lines[1:]):
        raise BinaryFormatError(
            f"the value of {name} has a line break that would start another header",
            where=name,
            fix="write it on one line in pyproject.toml or the recipe",
        )
    return value
