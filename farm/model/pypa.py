"""`packaging`'s readers of versions, bounds and requirements, for text that nobody has looked at yet.

They are made for text of a sane size: a number of more than 4300 digits ends in Python's own ValueError (for bounds
not when they are read but when they are used), and deeply nested parentheses end in a RecursionError. Here both are
what they mean: no version, no bound, no requirement.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_ENDLESS = re.compile(r"\d{1000}")
_SHOWN = 60  # letters of what is refused


def version(text: str) -> Version:
    """A version of PEP 440. Raises packaging.version.InvalidVersion."""
    _refuse_endless(text, InvalidVersion)
    return Version(text)


def specifiers(text: str) -> SpecifierSet:
    """Bounds on versions of PEP 440: ``>=3.0,<4``. Raises packaging.specifiers.InvalidSpecifier."""
    _refuse_endless(text, InvalidSpecifier)
    return SpecifierSet(text)


def requirement(text: str) -> Requirement:
    """A requirement of PEP 508. Raises packaging.requirements.InvalidRequirement."""
    _refuse_endless(text, InvalidRequirement)
    try:
        return Requirement(text)
    except RecursionError:
        raise InvalidRequirement(f"{text[:_SHOWN]!r}... is nested too deeply") from None


def _refuse_endless(text: str, error: type[ValueError]) -> None:
    if _ENDLESS.search(text):
        raise error(f"{text[:_SHOWN]!r}... has a number of more than 1000 digits")
