"""The small files that say what a build key means: the same in a local store and in every shared one."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from farm.errors import StoreError
from farm.model import json_text
from farm.model.artifact import Artifact

_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+~-]{0,250}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What a key means, and the shared store that is known to have it (`Remote.id`; empty if none is)."""

    artifact: Artifact
    shared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two builds of one key gave different bytes: the build is not reproducible. `kept` is what the store serves."""

    key: str
    kept: Artifact
    other_filename: str
    other_sha256: str

    def __str__(self) -> str:
        return (
            f"build key {self.key[:12]} gave two different wheels: {self.kept.filename} "
            f"(sha256 {self.kept.sha256[:12]}, kept) and {self.other_filename} "
            f"(sha256 {self.other_sha256[:12]}, dropped)"
        )


def require_key(key: str, where: str) -> None:
    """Raise StoreError if this is no build key."""
    if not is_hash(key):
        raise StoreError(f"{key!r} is not a build key (64 hex digits)", where=where)


def is_hash(text: str) -> bool:
    """Whether a text is a sha256 in hexadecimal, as build keys are too."""
    return bool(_HASH.fullmatch(text))


def is_file_name(text: str) -> bool:
    """Whether a text names a file that stays where it is put, on every kind of store."""
    return bool(_NAME.fullmatch(text))


def encode(artifact: Artifact, *, shared: str = "") -> bytes:
    """The content of a pointer."""
    return json.dumps(asdict(artifact) | ({"shared": shared} if shared else {})).encode()


def decode(key: str, data: bytes) -> Pointer:
    """The reverse. Raises ValueError if it is damaged, of another key, or leads out of the store."""
    try:
        value = json_text.loads(data)
        artifact = Artifact(
            key=value["key"], filename=value["filename"], sha256=value["sha256"], size=int(value["size"])
        )
        shared = value.get("shared", "")
        good = (
            artifact.key == key and is_hash(artifact.sha256) and is_file_name(artifact.filename) and artifact.size >= 0
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is not what a pointer is: {error!r}") from error
    if not good:
        raise ValueError("it is of another key, or leads out of the store")
    return Pointer(artifact=artifact, shared=str(shared))
