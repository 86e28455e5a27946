"""Numbers on the command line: of a size that databases, clocks and the rest of the farm can hold."""

from __future__ import annotations

import argparse
import re

_MOST = 2**31 - 1
_MOST_AMOUNT = 100_000  # days before now must be a date
_SHOWN = 40  # letters of what is refused


def whole(text: str) -> int:
    """A whole number of 32 bits, for `argparse`."""
    found = re.fullmatch(r"[+-]?[0-9]{1,10}", text.strip())
    number = int(text) if found else _MOST + 1
    if abs(number) > _MOST:
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not a whole number up to {_MOST}")
    return number


def days(text: str) -> float:
    """For how long something is kept, for `argparse`: more days than there are dates are for ever."""
    number = _float(text, "a number of days")
    if number != number or number < -_MOST_AMOUNT:
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not a number of days")
    return min(number, _MOST_AMOUNT)


def amount(text: str) -> float:
    """A number that may have a fraction, for `argparse`: neither infinite nor none (``nan``)."""
    number = _float(text, "a number")
    if not -_MOST_AMOUNT <= number <= _MOST_AMOUNT:  # nan is neither
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not a number up to {_MOST_AMOUNT}")
    return number


def _float(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not {what}") from None
