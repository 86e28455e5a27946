"""Adds a release to the text of a recipe: every other byte of the file stays as it is.

The file is not parsed and written again: that keeps comments, but moves those before `[requires]` to another table
(docs/decisions/007). The new text goes between two lines, and what comes out is read and compared.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion

from farm.catalog.render import toml_value
from farm.errors import UsageError
from farm.model import pypa

_HEADER = re.compile(r"[ \t]*\[")
_RELEASE = re.compile(r"""[ \t]*\[\[[ \t]*(?:release|"release"|'release')[ \t]*\]\]""")
_OF_RELEASE = re.compile(r"""[ \t]*\[\[?[ \t]*(?:release|"release"|'release')[ \t]*[.\]]""")
_WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """The lines of one release: `start` is its header's, `stop` the one after its last value."""

    version: str
    start: int
    stop: int


def with_release(text: str, release: Mapping[str, Any], *, file: str) -> str:
    """The text of a recipe with one more release, at its place by version, in the style of its neighbour.

    `release` is the table as tomllib reads it: ``version``, ``source``, and what else it has. `file` names the file in
    errors. Raises UsageError if the file is laid out so that the release cannot be added.
    """
    lines = text.splitlines(keepends=True)
    blocks = list(_blocks(lines))
    if not blocks:
        raise UsageError("has no [[release]] tables of its own", where=file, fix="write releases as [[release]] tables")
    older = [block for block in blocks if pypa.version(block.version) < pypa.version(release["version"])]
    neighbour = max(older, key=lambda block: pypa.version(block.version)) if older else blocks[0]
    is_inline = not any(re.match(r"\s*\[\[release\.source\.location", line) for line in lines)
    new = _render(release, is_inline=is_inline)
    if older:
        at, added = neighbour.stop, ["", *new]
    else:
        at, added = _before_comments(lines, neighbour.start), [*new, ""]
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    result = "".join([*lines[:at], *(f"{line}{end}" for line in added), *lines[at:]])
    _compare(text, result, release, file)
    return result


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """The releases of a file, in its order."""
    headers = [i for i, line in enumerate(lines) if _HEADER.match(line) and _is_whole(lines[:i])]
    for start in headers:
        if not _RELEASE.match(lines[start]):
            continue
        following = next((i for i in headers if i > start), len(lines))
        end = next((i for i in headers if i > start and not _is_part(lines[i])), len(lines))
        stop = end
        while stop > start + 1 and _is_aside(lines[stop - 1]):
            stop -= 1
        version = tomllib.loads("".join(lines[start:following])).get("release", [{}])[0].get("version", "")
        try:
            pypa.version(version)
        except InvalidVersion:
            continue
        yield _Block(version=version, start=start, stop=stop)


def _is_part(line: str) -> bool:
    return _OF_RELEASE.match(line) is not None and not _RELEASE.match(line)


def _is_whole(lines: Sequence[str]) -> bool:
    """Whether a line after these begins anew: it is not inside a string or an array of several lines."""
    try:
        tomllib.loads("".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _is_aside(line: str) -> bool:
    """A comment or an empty line: at the end of a table it belongs to the next one."""
    return not line.strip() or line.lstrip().startswith("#")


def _before_comments(lines: Sequence[str], at: int) -> int:
    while at and lines[at - 1].lstrip().startswith("#"):
        at -= 1
    return at


def _render(release: Mapping[str, Any], *, is_inline: bool) -> list[str]:
    lines = ["[[release]]"]
    lines += [line for key, value in release.items() if key != "source" for line in _pair(key, value)]
    for source in release["source"]:
        lines += ["", "[[release.source]]"]
        lines += [line for key, value in source.items() if key != "location" for line in _pair(key, value)]
        if is_inline:
            lines += _pair("location", source["location"])
            continue
        for location in source["location"]:
            lines += ["[[release.source.location]]"]
            lines += [line for key, value in location.items() for line in _pair(key, value)]
    return lines


def _pair(key: str, value: Any) -> list[str]:
    """``key = value``, an item a line where it would be too long."""
    plain = f"{key} = {toml_value(value)}"
    if len(plain) <= _WIDTH or not isinstance(value, list | tuple):
        return [plain]
    return [f"{key} = [", *(f"  {toml_value(item)}," for item in value), "]"]


def _compare(before: str, after: str, release: Mapping[str, Any], file: str) -> None:
    """Nothing but the release was added, and it reads as it was meant."""
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
        added = [item for item in new["release"] if item not in old["release"]]
        new["release"] = [item for item in new["release"] if item in old["release"]]
        is_right = new == old and added == [release]
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise UsageError(
            "its releases are laid out so that one cannot be added",
            where=file,
            fix="add the [[release]] by hand, after the others",
        )
