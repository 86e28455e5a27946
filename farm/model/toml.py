"""TOML that nobody has looked at yet: it ends in a document or in `TomlError`, and soon.

`tomllib` alone does not promise that. It reads numbers of any length, which Python refuses beyond 4300 digits; for a
key it takes the square of the time of its parts; and what it gives may be nested more deeply than what walks over it
can go. Source of the range of numbers: TOML 1.0, "Integer".
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_DEEPEST = 100
_BESIDE_KEYS = re.compile(r"[=,{\n]")  # what a key, which has no line breaks, ends at or begins behind
_RANGE = range(-(2**63), 2**63)


class TomlError(ValueError):
    """A document is no TOML, or none that can be used; the text says why, and where if that is known."""


def loads(text: str) -> dict[str, Any]:
    """The document in a text. Raises TomlError, and nothing else."""
    if any(part.count(".") > _DEEPEST for part in _BESIDE_KEYS.split(text)):
        raise TomlError("is nested too deeply: something on one line has more than 100 dots")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from error
    except RecursionError:
        raise TomlError("is nested too deeply") from None
    except ValueError as error:  # int() of thousands of digits
        raise TomlError("holds a number that does not fit into 64 bits") from error
    _check(document)
    return document


def _check(document: dict[str, Any]) -> None:
    """Refuse what is nested deeply and numbers beyond 64 bits; without recursion, whatever the document is."""
    level: list[object] = [document]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and value not in _RANGE:
                raise TomlError("holds a number that does not fit into 64 bits")
        level = below
        if not level:
            return
    raise TomlError("is nested too deeply")
