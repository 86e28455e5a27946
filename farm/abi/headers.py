"""What a newer release changes in its headers: programs carry values of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from farm.abi.header_values import number, same
from farm.model.abi import Abi, AbiChange, ChangeKind, Verdict

_NUMBER_OF_RELEASE = re.compile(
    r"(?:^|_)(?:VER|VERSION|VERNUM|MAJOR|MINOR|MICRO|PATCH|PATCHLEVEL|RELEASE|REVISION|SUBREVISION|DATE)(?:_|$)", re.I
)
_DIGITS = re.compile(r"\d+")
_DATES = range(1900_00_00, 2200_00_00)
_LONG = 100  # numbers from here on may be written together from the parts of a version: 0x1320


def changes(older: Abi, newer: Abi) -> Iterator[AbiChange]:
    """The library that headers belong to is not known, so these changes have none."""
    if not (older.headers and newer.headers):
        return
    make = partial(AbiChange, library="", verdict=Verdict.COMPATIBLE)
    for header in sorted(older.headers.keys() | newer.headers.keys()):
        old, new = older.headers.get(header), newer.headers.get(header)
        if new is None or old is None:
            yield make(kind=ChangeKind.HEADER, subject=header, text="is gone" if new is None else "is new")
        for name in sorted((old or {}).keys() | (new or {}).keys()):
            was, now = (old or {}).get(name), (new or {}).get(name)
            if was != now:
                kind, text = _change(name, was, now, older, newer)
                if kind is ChangeKind.CONSTANT or (old is not None and new is not None):
                    yield make(kind=kind, subject=header, text=text)


def _change(name: str, was: str | None, now: str | None, older: Abi, newer: Abi) -> tuple[ChangeKind, str]:
    """What left its header may be in another one, with the same value. What is nowhere may be something else now, which
    no constant tells."""
    if was is None:
        return ChangeKind.HEADER, f"{name} is new"
    elsewhere = [found[name] for found in newer.headers.values() if name in found]
    if now is None and any(same(was, value) for value in elsewhere):
        return ChangeKind.HEADER, f"{name} is gone"
    now = now or next(iter(elsewhere), None)
    if now is None:
        return ChangeKind.CONSTANT, f"{name} was {was}, is gone"
    told = not same(was, now) and not _is_of_release(name, was, now, older, newer)
    return ChangeKind.CONSTANT if told else ChangeKind.HEADER, f"{name} was {was}, is {now}"


def _is_of_release(name: str, was: str, now: str, older: Abi, newer: Abi) -> bool:
    """Whether a constant only says which release it is: by its name, and by both values."""
    named = _NUMBER_OF_RELEASE.search(name) is not None
    return named and _says(was, older.release) and _says(now, newer.release)


def _says(value: str, release: str) -> bool:
    """Whether a value may be made of a version's parts: one of them, or all in one number, of any base; or a date."""
    found = number(value)
    if found is None:
        return True  # a text, or made of other constants, of which each is looked at
    parts = [int(part) for part in _DIGITS.findall(release)]
    if found < _LONG:
        return found in parts
    return found in _DATES or any(f"{found:{base}}".startswith(f"{parts[0]:{base}}") for base in ("d", "x"))
