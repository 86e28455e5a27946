"""From a directory tree to a wheel, the same bytes from the same content on every machine."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from farm.errors import BinaryFormatError
from farm.wheel import handles, metadata, names, record
from farm.wheel.names import WheelName
from farm.wheel.record import RecordEntry
from farm.wheel.zipwriter import WheelWriter, regular_files


def pack(tree: Path, filename: str, out_dir: Path, *, epoch_seconds: int) -> Path:
    """Make `out_dir/filename` of the files below `tree` and return its path.

    `tree` holds the wheel's content with its ``.dist-info`` (METADATA and WHEEL, which must agree with `filename`); a
    RECORD there is replaced. Members are sorted, ``.dist-info`` last and RECORD at the very end (PEP 427); timestamps
    are `epoch_seconds` (SOURCE_DATE_EPOCH), modes 0755 for files their owner may execute, else 0644. Empty
    directories are dropped: wheels cannot hold them. An existing file is replaced in one step.

    Raises BinaryFormatError for links, special files, unsafe names and a ``.dist-info`` that is not this wheel's.
    """
    name = names.parse(filename)
    files = regular_files(tree, filename)
    _check(files, name)
    own_record = f"{name.dist_info}/RECORD"
    with new_wheel(out_dir / filename) as stream:
        writer = WheelWriter(stream, epoch_seconds=epoch_seconds, where=filename)
        lines: list[RecordEntry] = []
        for member in sorted(files, key=lambda member: order(member, name.dist_info)):
            if member == own_record:
                continue
            content = files[member].read_bytes()
            writer.add(member, content, executable=bool(files[member].stat().st_mode & 0o100))
            lines.append(RecordEntry.of(member, content))
        writer.add(own_record, record.make(lines, own_record))
        writer.finish()
    return out_dir / filename


def order(member: str, dist_info: str) -> tuple[bool, bool, bytes]:
    """Sort key of members: ``.dist-info`` last, RECORD at the very end, else by bytes (no locale)."""
    inside = member.startswith(f"{dist_info}/")
    return inside, member == f"{dist_info}/RECORD", member.encode()


@contextlib.contextmanager
def new_wheel(target: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A stream that becomes `target` when the block ends well, durably and in one step; else nothing is left.

    Without `replace` a file that is there stays, and the end raises FileExistsError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".whl.part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            handles.set_mode(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        if replace:
            Path(temporary).replace(target)
        else:
            os.link(temporary, target)  # unlike a rename it never replaces
            Path(temporary).unlink()
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _check(files: dict[str, Path], name: WheelName) -> None:
    folders = {member.partition("/")[0] for member in files}
    infos = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if infos != [name.dist_info]:
        raise BinaryFormatError(
            f"the tree has {', '.join(infos) or 'no .dist-info'}; the wheel needs {name.dist_info} and no other",
            where=name.filename,
            fix="name the directory as the wheel's file name begins, and leave no other",
        )
    if stray := [folder for folder in folders if folder.endswith(".data") and folder != name.data]:
        raise BinaryFormatError(
            f"the tree has {stray[0]}; installers look for {name.data}",
            where=name.filename,
            fix="rename the .data directory as the wheel's file name begins",
        )
    for file in ("METADATA", "WHEEL"):
        if f"{name.dist_info}/{file}" not in files:
            raise BinaryFormatError(
                f"the tree has no {name.dist_info}/{file}",
                where=name.filename,
                fix="write the file before packing: every wheel needs METADATA and WHEEL",
            )
    metadata.parse_metadata(files[f"{name.dist_info}/METADATA"].read_bytes(), name, name.filename)
    wheel_file = metadata.parse_headers(files[f"{name.dist_info}/WHEEL"].read_bytes(), name.filename)
    metadata.check_wheel_file(wheel_file, name, name.filename)
