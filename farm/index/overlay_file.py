"""Overlays as TOML files: bytes to values and back, with every fault named. Touches no disk."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import ValidationError

from farm.catalog.faults import Fault, from_validation
from farm.errors import OverlayError
from farm.index.overlay import Overlay, RequiresDist
from farm.model import toml

MAX_BYTES = 64 << 10  # of an overlay file: it is a page of text


def fence(
    *,
    project: str,
    dependency: str,
    below: str,
    versions: str,
    reason: str,
    author: str,
    created: datetime,
    expires: datetime,
) -> Overlay:
    """The overlay that keeps a dependent away from releases of a dependency: every entry of `dependency` in the wheels
    of `project` that `versions` selects gets ``<below`` added, until `expires`.

    Its name is made of both projects, so the next fence between them takes the place of this one. Raises OverlayError.
    """
    return make(
        name=f"fence-{project}-{dependency}",
        project=project,
        versions=versions,
        reason=reason,
        author=author,
        created=created,
        expires=expires,
        requires={"tighten": (f"{dependency}<{below}",)},
    )


def make(**fields: object) -> Overlay:
    """An overlay of values, checked like a file. Raises OverlayError with every fault."""
    name = str(fields.get("name", ""))
    return _validated({"format": 1, **fields}, f"overlay {name}" if name else "overlay")


def parse(document: bytes, where: str) -> Overlay:
    """The overlay in a file's bytes. Raises OverlayError with every fault, naming `where`."""
    if len(document) > MAX_BYTES:
        raise OverlayError(f"is larger than {MAX_BYTES} bytes", where=where, fix="an overlay is a page of text")
    return _parsed(document, where)


@functools.lru_cache(maxsize=256)
def _parsed(document: bytes, where: str) -> Overlay:
    fix = "`farm index overlay add --help` shows an overlay"
    try:
        data = toml.loads(document.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise OverlayError("is not UTF-8 text", where=where, fix=fix) from error
    except toml.TomlError as error:
        raise OverlayError(f"is not TOML: {error}"[:300], where=where, fix=fix) from error
    return _validated(data, where)


def _validated(data: dict[str, object], where: str) -> Overlay:
    try:
        return Overlay.model_validate(data)
    except ValidationError as error:
        faults: Iterable[Fault] = from_validation(where, Overlay, error)
        raise OverlayError(
            "\n".join(str(fault) for fault in faults),
            fix="an overlay changes Requires-Dist and Requires-Python of published wheels only; "
            "`farm index overlay add --help` shows one",
        ) from error


def dump(overlay: Overlay) -> bytes:
    """The file of an overlay; ``parse(dump(overlay), ...) == overlay``."""
    top = {
        "format": overlay.format,
        "name": overlay.name,
        "project": overlay.project,
        "versions": overlay.versions,
        "files": overlay.files,
        "reason": overlay.reason,
        "author": overlay.author,
        "created": overlay.created,
        "expires": overlay.expires,
        "requires_python": overlay.requires_python,
    }
    edits = {key: getattr(overlay.requires, key) for key in RequiresDist.model_fields}
    lines = [f"{key} = {_toml(value)}" for key, value in top.items() if value not in (None, ())]
    if any(edits.values()):
        lines += ["", "[requires]", *(f"{key} = {_toml(value)}" for key, value in edits.items() if value)]
    return ("\n".join(lines) + "\n").encode()


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    # JSON's strings are TOML's basic strings; what is not printable was refused before
    return json.dumps(value, ensure_ascii=False)
