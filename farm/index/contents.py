"""What a generation holds, as values and as the JSON files beside its pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from farm.errors import IndexFormatError

FORMAT = 1
STAGING = "staging"  # the channel that `farm build` publishes to, and the default of every verb that names one
Status = Literal["active", "archived", "quarantined", "deprecated"]  # PEP 792
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A wheel to publish. `sha256` is checked if given. A file nobody can write to (a blob of the store) is hard-linked
    into the index, any other is copied."""

    path: Path
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A wheel in a generation. `uploaded` is RFC 3339 in UTC; `metadata_sha256` is of its METADATA; `yanked` is None,
    or the reason (which may be empty)."""

    project: str
    filename: str
    version: str
    sha256: str
    size: int
    requires_python: str
    metadata_sha256: str
    uploaded: str
    yanked: str | None = None

    @property
    def location(self) -> str:
        """Where it is below the index's root."""
        return f"files/{self.sha256[:2]}/{self.sha256}/{self.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """PEP 792: `quarantined` projects offer no files, `archived` and `deprecated` are shown by clients."""

    status: Status = "active"
    reason: str = ""


ACTIVE = ProjectStatus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All files by name, and projects whose status is not plainly active."""

    files: Mapping[str, PublishedFile] = field(default_factory=dict)
    statuses: Mapping[str, ProjectStatus] = field(default_factory=dict)

    def projects(self) -> dict[str, tuple[PublishedFile, ...]]:
        """Files by project, both sorted by name."""
        grouped: dict[str, list[PublishedFile]] = {}
        for name in sorted(self.files):
            grouped.setdefault(self.files[name].project, []).append(self.files[name])
        return {project: tuple(grouped[project]) for project in sorted(grouped)}

    def status(self, project: str) -> ProjectStatus:
        """A project's status (PEP 792); active unless it was set."""
        return self.statuses.get(project, ACTIVE)

    def dump(self) -> bytes:
        """Compact JSON, one file per line: readable, greppable, and diffs between generations are short."""
        statuses = json.dumps({name: asdict(self.statuses[name]) for name in sorted(self.statuses)})
        rows = ",\n".join(_row(self.files[name]) for name in sorted(self.files))
        return f'{{"format": {FORMAT}, "statuses": {statuses}, "files": [\n{rows}\n]}}\n'.encode()

    @classmethod
    def load(cls, content: bytes, where: str) -> Contents:
        """Raises IndexFormatError."""
        try:
            raw: dict[str, Any] = json.loads(content)
            if raw["format"] != FORMAT:
                raise IndexFormatError(
                    f"has format {raw['format']}; this farm reads {FORMAT}",
                    where=where,
                    fix="use the farm that made it",
                )
            files = [PublishedFile(**row) for row in raw["files"]]
            statuses = {name: ProjectStatus(**row) for name, row in raw["statuses"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IndexFormatError(
                f"is damaged: {error}",
                where=where,
                fix="serve another one (`farm index rollback NUMBER`), then remove this generation's directory",
            ) from error
        return cls(files={file.filename: file for file in files}, statuses=statuses)


_FIELDS = tuple(f.name for f in fields(PublishedFile))
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _row(file: PublishedFile) -> str:
    return _ENCODER.encode({name: getattr(file, name) for name in _FIELDS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One immutable state of a channel.

    `parent` is the generation it was made from (0: none); `pages` the version of the page format; `size` the bytes of
    all its files together; `added` and `removed` are file names, compared with the parent.
    """

    channel: str
    number: int
    parent: int
    created: str
    comment: str
    files: int
    projects: int
    size: int
    pages: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its directory, and the part of its URL: ``staging@000012``."""
        return generation_name(self.channel, self.number)

    def dump(self) -> bytes:
        """The bytes of ``generation.json``."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def load(cls, content: bytes, where: str) -> Generation:
        """Raises IndexFormatError."""
        try:
            raw = json.loads(content)
            if raw.pop("format") != FORMAT:
                raise IndexFormatError(
                    f"was written by another farm; this one reads format {FORMAT}",
                    where=where,
                    fix="use the farm that made it",
                )
            return cls(**{**raw, "added": tuple(raw["added"]), "removed": tuple(raw["removed"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IndexFormatError(
                f"is damaged: {error}", where=where, fix="roll back to another generation, then remove this one"
            ) from error


def generation_name(channel: str, number: int) -> str:
    """The directory of a generation: ``staging@000012``."""
    return f"{channel}@{number:06d}"
