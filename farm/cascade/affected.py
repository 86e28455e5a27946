"""Who holds a component: found in the SBOMs of the wheels that a channel serves (PEP 770, CycloneDX)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from farm.errors import BinaryFormatError, UsageError
from farm.index.contents import PublishedFile
from farm.wheel.archive import WheelArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A wheel that holds a component, and the component's package URL as its SBOM has it."""

    filename: str
    project: str
    component: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purl:
    """A package URL without qualifiers: ``pkg:generic/gmp``; `version` may be empty, which is any."""

    name: str
    version: str

    def matches(self, other: Purl) -> bool:
        """Whether `other` is this package, in this version if this has one."""
        return self.name == other.name and self.version in ("", other.version)


def parse(text: str) -> Purl:
    """Read a package URL. Raises UsageError."""
    found = _read(text)
    if found is None:
        raise UsageError(
            f"{text!r} is not a package URL",
            where="--purl",
            fix="write it like pkg:generic/gmp or pkg:generic/gmp@6.2.1",
        )
    return found


def _read(text: str) -> Purl | None:
    plain = text.partition("?")[0].partition("#")[0]
    name, at, version = plain.rpartition("@")
    name = name if at else plain
    if not name.startswith("pkg:") or name.count("/") < 1 or not name.rpartition("/")[2]:
        return None
    kind, _, path = name.removeprefix("pkg:").strip("/").partition("/")
    return Purl(name=f"pkg:{kind.lower()}/{unquote(path)}", version=unquote(version) if at else "")


def affected(files: Iterable[PublishedFile], root: Path, wanted: Purl) -> Iterator[Affected]:
    """The wheels of `files` (below the index's `root`) that hold a component. Native wheels that a wheel only needs at
    run time are not in it: to make those anew is enough. Raises BinaryFormatError for an SBOM that cannot be read."""
    for file in files:
        for found in _components(root / file.location):
            if wanted.matches(parse(found)):
                yield Affected(filename=file.filename, project=file.project, component=found)
                break


def _components(wheel: Path) -> Iterator[str]:
    """Package URLs of what is inside a wheel: itself and its components, but the distributions that it requires."""
    with WheelArchive.open(wheel) as archive:
        folder = f"{archive.name.dist_info}/sboms/"
        for member in archive.members:
            if member.startswith(folder) and member.endswith(".json"):
                document = _load(archive.read(member), f"{wheel.name}: {member}")
                subject = _dict(_dict(document.get("metadata")).get("component"))
                yield from _purls(subject)
                for component in (*_nested(document), *_nested(subject)):
                    yield from (purl for purl in _purls(component) if not purl.startswith("pkg:pypi/native-"))


def _nested(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The components of a document and those that these are made of."""
    queue = [holder]
    while queue:
        inside = queue.pop().get("components")
        found = [one for one in inside if isinstance(one, dict)] if isinstance(inside, list) else []
        yield from found
        queue += found


def _purls(component: dict[str, Any]) -> Iterator[str]:
    """A component's package URL; none where it has none that can be read."""
    purl = component.get("purl")
    if isinstance(purl, str) and _read(purl) is not None:
        yield purl


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _load(content: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise BinaryFormatError(f"is no SBOM: {error}", where=where, fix="build the wheel again") from error
    return document
