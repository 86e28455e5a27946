"""A generation made whole again: its files.json from its pages, its wheels from the store, every hash checked.

Pages say all that files.json says (PEP 691, 700 and 792), but for two things: what quarantined projects hold, and
metadata overlays. These come from other generations that hold them. What cannot be had is an error; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import IndexFormatError
from farm.index import pool, rows
from farm.index.contents import ACTIVE, Contents, Correction, ProjectStatus, PublishedFile, SignedOverlay
from farm.index.generation import Generation, OverlayUse, uses
from farm.index.generations import Index
from farm.model import json_text
from farm.store.files import disk_errors, file_sha256, write_atomic
from farm.wheel import names
from farm.wheel.archive import WheelArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was, or would be, made again of a generation: ``files.json``, and names of wheels. `files` were checked."""

    generation: Generation
    files: int
    mended: tuple[str, ...]


def restore(index: Index, channel: str, number: int | None = None, *, store: Path, dry_run: bool = False) -> Restored:
    """Check a generation (the served one, without `number`) and make again what is damaged or missing; `store` is the
    directory of a store that may have its wheels.

    Raises IndexFormatError, before anything is written, if something cannot be made again: with all that is missing.
    """
    with disk_errors(index.root), index.locked():
        generation = index.generation(channel, number or index.current_number(channel))
        place = index.path(generation) / "files.json"
        contents = _readable(place)
        mended: tuple[str, ...] = ()
        if contents is None or _counted(contents) != _counts(generation):
            contents, mended = _from_pages(index, generation), ("files.json",)
        sources = _sources(index.root, store, contents.files.values())
        if not dry_run:
            for file, blob in sources.items():
                pool.add(index.root, pool.Candidate(source=blob, published=file, metadata=_metadata(blob)))
            if mended:
                write_atomic(place, contents.dump())
    wheels = tuple(sorted(file.filename for file in sources))
    return Restored(generation=generation, files=len(contents.files), mended=mended + wheels)


def _readable(place: Path) -> Contents | None:
    try:
        return Contents.load(place.read_bytes(), str(place))
    except (FileNotFoundError, IndexFormatError):
        return None


def _from_pages(index: Index, generation: Generation) -> Contents:
    """What files.json said. Raises IndexFormatError unless all that generation.json counts is found."""
    where = str(index.path(generation) / "files.json")
    donors = tuple(_donors(index, generation))
    files: dict[str, PublishedFile] = {}
    statuses: dict[str, ProjectStatus] = {}
    for page in sorted((index.path(generation) / "simple").glob("*/index.json")):
        project, status, offered = _project(page)
        files.update((file.filename, file) for file in offered or _withheld(project, donors))
        statuses.update({} if status == ACTIVE else {project: status})
    overlays, corrections = _overlays(generation, donors), _corrections(files, donors)
    contents = Contents(files=files, statuses=statuses, overlays=overlays, corrections=corrections)
    counted = _counted(contents)
    if counted != _counts(generation):
        raise IndexFormatError(
            f"cannot be made again: generation.json counts {generation.files} files, {generation.projects} projects, "
            f"{generation.size} bytes, {len(generation.overlays)} overlays; its pages and other generations give "
            f"{counted[0]}, {counted[1]}, {counted[2]}, {len(counted[3])}",
            where=where,
            fix="restore it from a backup, or begin the channel anew under another name: "
            f"`farm index build --channel NAME {index.root}/files/*/*/*.whl`, then add its overlays again",
        )
    return contents


_Counts = tuple[int, int, int, tuple[OverlayUse, ...]]
"""Files, projects, bytes, and the overlays that apply."""


def _counted(contents: Contents) -> _Counts:
    files = contents.files.values()
    return len(files), len(contents.projects()), sum(file.size for file in files), uses(contents)


def _counts(generation: Generation) -> _Counts:
    return generation.files, generation.projects, generation.size, generation.overlays


def _project(page: Path) -> tuple[str, ProjectStatus, tuple[PublishedFile, ...]]:
    """What a project's page says. Raises IndexFormatError."""
    try:
        raw: dict[str, Any] = json_text.loads(page.read_bytes())
        status = rows.read(ProjectStatus, raw["project-status"])
        return raw["name"], status, tuple(_file(raw["name"], row) for row in raw["files"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IndexFormatError(
            f"is damaged as well: {error}", where=str(page), fix="restore it, or files.json, from a backup"
        ) from error


def _file(project: str, row: Mapping[str, Any]) -> PublishedFile:
    """A row of PEP 691 as files.json has it: `yanked` is false, true or a reason."""
    yanked = row["yanked"]
    found = {
        "project": project,
        "filename": row["filename"],
        "version": str(names.parse(row["filename"]).parsed_version),
        "sha256": row["hashes"]["sha256"],
        "size": row["size"],
        "requires_python": row.get("requires-python", ""),
        "metadata_sha256": row["core-metadata"]["sha256"],
        "uploaded": row["upload-time"],
        "yanked": None if yanked is False else "" if yanked is True else yanked,
    }
    return rows.read(PublishedFile, found)


def _donors(index: Index, generation: Generation) -> Iterator[Contents]:
    """Other generations that can be read, of the same channel first and newest first."""
    for channel in sorted(index.channels(), key=lambda name: name != generation.channel):
        for number in reversed(index.numbers(channel)):
            place = index.root / f"{channel}@{number:06d}" / "files.json"
            found = _readable(place)
            if found is not None:
                yield found


def _withheld(project: str, donors: Sequence[Contents]) -> tuple[PublishedFile, ...]:
    """The files of a quarantined project, which its page does not offer (PEP 792)."""
    return next((held for donor in donors if (held := donor.projects().get(project))), ())


def _overlays(generation: Generation, donors: Sequence[Contents]) -> dict[str, SignedOverlay]:
    known = {overlay.sha256: overlay for donor in donors for overlay in donor.overlays.values() if not overlay.ended}
    return {use.name: known[use.sha256] for use in generation.overlays if use.sha256 in known}


def _corrections(files: Mapping[str, PublishedFile], donors: Sequence[Contents]) -> dict[str, Correction]:
    return {
        name: correction
        for donor in reversed(donors)
        for name, correction in donor.corrections.items()
        if name in files and files[name].sha256 == correction.corrected.sha256
    }


def _sources(root: Path, store: Path, files: Iterable[PublishedFile]) -> dict[PublishedFile, Path]:
    """Wheels whose file in the pool is missing or damaged, and where the store has them, sound. Raises
    IndexFormatError with all that are nowhere."""
    found, lost = {}, []
    for file in files:
        place = root / file.location
        if place.is_file() and place.with_name(place.name + ".metadata").is_file() and _is(place, file.sha256):
            continue
        blobs = (store / "blobs" / file.sha256[:2] / file.sha256).glob("*.whl")
        blob = next((blob for blob in (*blobs, place) if blob.is_file() and _is(blob, file.sha256)), None)
        if blob is None:
            lost.append(f"{file.filename} (sha256 {file.sha256})")
        else:
            found[file] = blob
    if lost:
        raise IndexFormatError(
            f"wheels are damaged or missing, here and in the store: {', '.join(lost)}",
            where=str(root / "files"),
            fix="put the same wheels back from a backup, or publish others and remove these: `farm index build`",
        )
    return found


def _is(path: Path, sha256: str) -> bool:
    return file_sha256(path) == sha256


def _metadata(wheel: Path) -> bytes:
    with WheelArchive.open(wheel) as archive:
        return archive.read(archive.dist_info_file("METADATA"))
