"""Changing a wheel without packing it again: untouched members are copied as they are packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from farm.errors import BinaryFormatError
from farm.wheel import metadata, record
from farm.wheel.archive import WheelArchive
from farm.wheel.metadata import Headers
from farm.wheel.names import WheelName
from farm.wheel.pack import new_wheel, order
from farm.wheel.record import RecordEntry
from farm.wheel.zipwriter import WheelWriter

_FIXED = ("metadata-version", "name", "version", "requires-dist")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelEdits:
    """What to change.

    - `put`: member name -> new content, replaced or added; `executable` names those of them to be mode 0755 (a replaced
      member keeps its mode). `remove`: members to drop; each must be there.
    - `requires_remove`: projects whose Requires-Dist lines go; `requires_replace`: project -> the line that stands in
      their place (markers and all; the project must be required now); `requires_add`: new lines, no duplicates.
    - `headers`: METADATA header -> all its values (empty removes it). Name, Version and Requires-Dist are refused.
    - `metadata`: the whole METADATA, instead of all that; its Name and Version must be the wheel's.
    - `tag`: compressed tag ``cp311-cp311-manylinux_2_17_x86_64``; `build`: build tag, empty removes it. Both change the
      WHEEL file and the file name.
    - `epoch_seconds`: timestamp of new members; None takes the one of the old RECORD.
    - `level`: deflate level of changed members. 6 takes a third of 9's time and makes libraries 0.6 % larger.

    ``.dist-info/METADATA``, WHEEL and RECORD cannot be `put`; signatures (RECORD.jws, RECORD.p7s) are dropped, as they
    sign the old RECORD.
    """

    put: Mapping[str, bytes] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    requires_remove: frozenset[str] = frozenset()
    requires_replace: Mapping[str, str] = field(default_factory=dict)
    requires_add: tuple[str, ...] = ()
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metadata: bytes | None = None
    tag: str | None = None
    build: str | None = None
    epoch_seconds: int | None = None
    level: int = 9


def edit(wheel: Path, out_dir: Path, changes: WheelEdits) -> Path:
    """Write the changed wheel to `out_dir` and return its path; the same wheel and changes give the same bytes.

    RECORD is made from the old RECORD's lines for untouched members: they are not unpacked, so a RECORD that lied about
    them goes on lying. Run `record.verify` before on wheels from elsewhere. Editing into the wheel's own directory is
    fine: the result replaces an equal name in one step. Raises BinaryFormatError.
    """
    with WheelArchive.open(wheel) as archive:
        name = _new_name(archive.name, changes)
        old = record.read(archive)
        new = {**changes.put, **_changed_info(archive, name, changes)}
        _check_members(archive, changes)
        gone = {*changes.remove, *(archive.dist_info_file(file) for file in record.UNHASHED)}
        with new_wheel(out_dir / name.filename) as stream:
            writer = WheelWriter(stream, epoch_seconds=_epoch(archive, changes), where=name.filename)
            lines: list[RecordEntry] = []
            for member in sorted({*archive.members, *new} - gone, key=lambda m: order(m, archive.dist_info)):
                if member in new:
                    writer.add(
                        member, new[member], executable=_is_executable(archive, member, changes), level=changes.level
                    )
                    lines.append(RecordEntry.of(member, new[member]))
                else:
                    writer.copy(archive, archive.members[member])
                    lines.append(old[member])
            own = archive.dist_info_file("RECORD")
            writer.add(own, record.make(lines, own))
            writer.finish()
    return out_dir / name.filename


def edit_requirements(headers: Headers, changes: WheelEdits, where: str) -> Headers:
    """METADATA with the changes of Requires-Dist and other headers made."""
    replacing = {metadata.project_of(name): line for name, line in changes.requires_replace.items()}
    removing = {metadata.project_of(name) for name in changes.requires_remove}
    lines: list[str] = []
    for line in headers.all("Requires-Dist"):
        project = metadata.project_of(line)
        new = metadata.check_requirement(replacing[project], where) if project in replacing else line
        if project not in removing and not (project in replacing and new in lines):
            lines.append(new)
    if missing := (replacing.keys() | removing) - {metadata.project_of(v) for v in headers.all("Requires-Dist")}:
        raise BinaryFormatError(
            f"does not require {', '.join(sorted(missing))}",
            where=where,
            fix="name requirements as the wheel's METADATA lists them",
        )
    for line in changes.requires_add:
        if metadata.check_requirement(line, where) not in lines:
            lines.append(line)
    headers = headers.with_header("Requires-Dist", lines)
    for header, values in changes.headers.items():
        if header.lower() in _FIXED:
            raise BinaryFormatError(f"{header} cannot be set by an edit", where=where)
        headers = headers.with_header(header, values)
    return headers


def _new_name(name: WheelName, changes: WheelEdits) -> WheelName:
    if changes.tag is not None:
        name = name.with_tag(changes.tag)
    return name if changes.build is None else name.with_build(changes.build)


def _changed_info(archive: WheelArchive, name: WheelName, changes: WheelEdits) -> dict[str, bytes]:
    """METADATA and WHEEL, where they differ from what they were."""
    where = str(archive.path)
    changed: dict[str, bytes] = {}
    member = archive.dist_info_file("METADATA")
    old = metadata.parse_metadata(archive.read(member), archive.name, where)
    if changes.metadata is not None:
        metadata.parse_metadata(changes.metadata, archive.name, where)
        changed[member] = changes.metadata
    elif (new := edit_requirements(old, changes, where)) != old:
        changed[member] = new.format()
    if name != archive.name:
        member = archive.dist_info_file("WHEEL")
        changed[member] = metadata.retagged(metadata.parse_headers(archive.read(member), where), name).format()
    return changed


def _check_members(archive: WheelArchive, changes: WheelEdits) -> None:
    where = str(archive.path)
    reserved = {archive.dist_info_file(file) for file in ("METADATA", "WHEEL", *record.UNHASHED)}
    if clash := reserved & {*changes.put, *changes.remove}:
        raise BinaryFormatError(f"{min(clash)} is changed through headers, tag and build only", where=where)
    if missing := changes.remove - archive.members.keys():
        raise BinaryFormatError(f"has no member {min(missing)!r} to remove", where=where)
    if both := changes.remove & changes.put.keys():
        raise BinaryFormatError(f"member {min(both)!r} is put and removed", where=where)
    if other := {m for m in changes.put if m.partition("/")[0].endswith(".dist-info")} - {
        m for m in changes.put if m.startswith(f"{archive.dist_info}/")
    }:
        raise BinaryFormatError(f"{min(other)!r} would be a second .dist-info directory", where=where)


def _is_executable(archive: WheelArchive, member: str, changes: WheelEdits) -> bool:
    old = archive.members.get(member)
    return member in changes.executable or (old is not None and old.is_executable)


def _epoch(archive: WheelArchive, changes: WheelEdits) -> int:
    if changes.epoch_seconds is not None:
        return changes.epoch_seconds
    old = archive.members[archive.dist_info_file("RECORD")]
    try:
        when = datetime(
            *((old.date >> 9) + 1980, old.date >> 5 & 15, old.date & 31),
            *(old.time >> 11, old.time >> 5 & 63, (old.time & 31) * 2),
            tzinfo=UTC,
        )
    except ValueError:  # no date at all, as some tools write
        return 0
    return int(when.timestamp())
