"""What a generation holds, as values and as the JSON files beside its pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from farm.errors import IndexFormatError
from farm.index import rows
from farm.model import json_text

FORMAT = 1
WITH_OVERLAYS = 2  # written only where there are any, so that a farm that knows none of them does not lose them
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
class SignedOverlay:
    """A metadata overlay as it was signed (`farm.index.overlay` reads `document`), with who signed it (`signer`, a
    principal of the trusted keys, and the key's fingerprint). `ended` is when somebody took it off, empty as long as it
    applies: it is remembered until it would have expired, so that a promotion knows it is not lost by accident."""

    name: str
    document: str
    signature: str
    signer: str
    ended: str = ""

    @property
    def sha256(self) -> str:
        """Of the document."""
        return hashlib.sha256(self.document.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A repacked wheel (`corrected`), the wheel it stands for, as that was published (`original`), and the overlays
    that made it, by name."""

    original: PublishedFile
    corrected: PublishedFile
    overlays: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All files by name, and projects whose status is not plainly active.

    `overlays` by name are those that the channel holds; `corrections`, by the name of the corrected file, what they
    made. Both wheels of a correction are in `files`, the original one yanked.
    """

    files: Mapping[str, PublishedFile] = field(default_factory=dict)
    statuses: Mapping[str, ProjectStatus] = field(default_factory=dict)
    overlays: Mapping[str, SignedOverlay] = field(default_factory=dict)
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    def projects(self) -> dict[str, tuple[PublishedFile, ...]]:
        """Files by project, both sorted by name."""
        grouped: dict[str, list[PublishedFile]] = {}
        for name in sorted(self.files):
            grouped.setdefault(self.files[name].project, []).append(self.files[name])
        return {project: tuple(grouped[project]) for project in sorted(grouped)}

    def status(self, project: str) -> ProjectStatus:
        """A project's status (PEP 792); active unless it was set."""
        return self.statuses.get(project, ACTIVE)

    def as_published(self) -> Contents:
        """The files as they were published, without what overlays made of them. `corrections` stay known."""
        if not self.corrections:
            return self
        files = {name: file for name, file in self.files.items() if name not in self.corrections}
        files.update({c.original.filename: c.original for c in self.corrections.values()})
        return changed(self, files=files)

    def published_names(self, filenames: Collection[str], channel: str) -> frozenset[str]:
        """The published files that names stand for: a corrected file's is its original. Raises IndexFormatError."""
        found = {self.corrections[n].original.filename if n in self.corrections else n for n in filenames}
        if missing := sorted(found - self.files.keys()):
            raise IndexFormatError(f"channel {channel!r} has no file {missing[0]}", fix="look at its files.json")
        return frozenset(found)

    def dump(self) -> bytes:
        """Compact JSON, one file per line: readable, greppable, and diffs between generations are short."""
        statuses = json.dumps({name: asdict(self.statuses[name]) for name in sorted(self.statuses)})
        overlays = ",\n".join(_ENCODER.encode(asdict(self.overlays[name])) for name in sorted(self.overlays))
        corrections = ",\n".join(_correction_row(self.corrections[name]) for name in sorted(self.corrections))
        rows = ",\n".join(_row(self.files[name]) for name in sorted(self.files))
        number = WITH_OVERLAYS if overlays else FORMAT
        more = f' "overlays": [\n{overlays}\n], "corrections": [\n{corrections}\n],' if overlays else ""
        return f'{{"format": {number}, "statuses": {statuses},{more} "files": [\n{rows}\n]}}\n'.encode()

    @classmethod
    def load(cls, content: bytes, where: str) -> Contents:
        """Raises IndexFormatError."""
        try:
            raw: dict[str, Any] = json_text.loads(content)
            if raw["format"] not in (FORMAT, WITH_OVERLAYS):
                raise IndexFormatError(
                    f"has format {raw['format']}; this farm reads {FORMAT} and {WITH_OVERLAYS}",
                    where=where,
                    fix="use the farm that made it",
                )
            files = {row["filename"]: rows.read(PublishedFile, row) for row in raw["files"]}
            return cls(
                files=files,
                statuses={name: rows.read(ProjectStatus, row) for name, row in raw["statuses"].items()},
                overlays={row["name"]: rows.read(SignedOverlay, row) for row in raw.get("overlays", ())},
                corrections={
                    row["corrected"]: rows.read(Correction, _correction(row, files))
                    for row in raw.get("corrections", ())
                },
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IndexFormatError(
                f"is damaged: {error}",
                where=where,
                fix="`farm index repair --channel CHANNEL NUMBER` makes it again from the generation's pages",
            ) from error


_FIELDS = tuple(f.name for f in fields(PublishedFile))
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _row(file: PublishedFile) -> str:
    return _ENCODER.encode({name: getattr(file, name) for name in _FIELDS})


def _correction_row(correction: Correction) -> str:
    """The corrected file's own row is among the files."""
    return _ENCODER.encode({**asdict(correction), "corrected": correction.corrected.filename})


def _correction(row: Mapping[str, Any], files: Mapping[str, PublishedFile]) -> dict[str, Any]:
    return {
        **row,
        "original": rows.read(PublishedFile, row["original"]),
        "corrected": files[row["corrected"]],
        "overlays": rows.items(row["overlays"]),
    }


def rfc3339(moment: datetime) -> str:
    """A moment as pages and generations write it, in UTC: ``2026-11-21T09:30:00.000000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
