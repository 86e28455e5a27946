"""Reading ``native.json``, the one file that says what a native wheel is (farm.model.native)."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from farm.errors import BinaryFormatError
from farm.model.native import NativeManifest
from farm.wheel.archive import WheelArchive

MANIFEST = "native.json"


# Keys that came after wheels without them were published: left out where they say nothing, so those stay as they were.
_LATER = frozenset({"symbols_header"})
_LATER_OF_LIBRARIES = frozenset({"symbol_prefix", "symbol_suffix"})


def write(manifest: NativeManifest) -> bytes:
    """The file's content. The same manifest gives the same bytes."""
    unset = {key for key in _LATER if not getattr(manifest, key)}
    libraries = {
        number: {key for key in _LATER_OF_LIBRARIES if not getattr(library, key)}
        for number, library in enumerate(manifest.library)
    }
    exclude: dict[str, Any] = {**dict.fromkeys(unset, True), "library": libraries}
    return (manifest.model_dump_json(indent=1, exclude=exclude) + "\n").encode()


def parse(content: bytes, where: str) -> NativeManifest:
    """The manifest in a file's content. Raises BinaryFormatError that names the first wrong key."""
    try:
        return NativeManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "document"
        raise BinaryFormatError(
            f"is not a native manifest: {key}: {first['msg']} ({error.error_count()} faults)",
            where=where,
            fix="stage the wheel again with the farm",
        ) from error


def read(archive: WheelArchive) -> NativeManifest | None:
    """The manifest of an open wheel; None if it is no native wheel. Raises BinaryFormatError."""
    member = archive.dist_info_file(MANIFEST)
    return parse(archive.read(member), f"{archive.path}: {member}") if member in archive.members else None
