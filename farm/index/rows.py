"""Rows of the index's own JSON files, read back: of the kinds that their values declare, else the field is told.

A disk, a merge or an editor may have damaged them. What is wrong is told where it is read: users would meet the page
that is rendered from it, or the link that leads out of the index.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from farm.model import pypa
from farm.store.pointers import is_hash

_T = TypeVar("_T")
_WHEEL = re.compile(r"[A-Za-z0-9_][^/\\\x00-\x1f\x7f]*\.whl")
_PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHOWN = 40  # letters of what is refused


def read(kind: type[_T], row: Mapping[str, Any]) -> _T:
    """A frozen value from its row. Raises ValueError naming the field, TypeError for one that is missing or unknown."""
    made = kind(**row)
    for name, is_right in _fields(cast("Hashable", kind)):
        value = getattr(made, name)
        if not is_right(value):
            raise ValueError(f"{name} cannot be {repr(value)[:_SHOWN]}")
    return made


def items(value: object) -> object:
    """A JSON list as the tuple that a frozen value holds; anything else, a text too, as it is."""
    return tuple(value) if isinstance(value, list) else value


@functools.cache
def _fields(kind: Hashable) -> tuple[tuple[str, Callable[[object], bool]], ...]:
    """The fields of a value, and what each of them must be."""
    return tuple((name, _FORMS.get(name) or _of(hint)) for name, hint in get_type_hints(kind).items())


def _of(hint: Any) -> Callable[[object], bool]:
    """Whether something is of a declared kind: text, a whole number that is not negative, None, one of some words, or a
    tuple of one kind."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return lambda value: value in inner
    if origin is tuple:
        is_right = _of(inner[0])
        return lambda value: type(value) is tuple and all(map(is_right, value))
    kinds = inner if origin is UnionType else (hint,)
    return lambda value: type(value) in kinds and (type(value) is not int or value >= 0)


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


def _is_sha256(value: object) -> bool:
    return type(value) is str and is_hash(value)


@functools.lru_cache(maxsize=4096)
def _is_version(value: object) -> bool:
    try:
        return type(value) is str and bool(pypa.version(value))
    except ValueError:
        return False


_FORMS: Mapping[str, Callable[[object], bool]] = {
    "sha256": _is_sha256,
    "metadata_sha256": _is_sha256,
    "filename": _matches(_WHEEL),
    "project": _matches(_PROJECT),
    "version": _is_version,
}
"""What a field of such a name must look like, besides being text."""
