"""Words on the command line: what is given must say something, on one line.

An empty value is what a shell makes of a variable that is not set. Taken as if the option were not there, it would let
``farm cascade start --toolchain "$P"`` roll out all there is.
"""

from __future__ import annotations

import argparse
import unicodedata
from pathlib import Path
from typing import Any

from farm.model.channels import is_hidden

_BREAKS = ("Cc", "Zl", "Zp")  # categories of Unicode: control characters and separators of lines


class Parser(argparse.ArgumentParser):
    """A parser whose options, and those of its verbs, take no empty word and no empty path unless they say so by a type
    of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", None, given)
        self.register("type", Path, _path)

    def add_subparsers(self, **kwargs: Any) -> Any:
        """The words behind a verb are its own parser's to judge."""
        action = super().add_subparsers(**kwargs)
        action.type = str
        return action


def given(text: str) -> str:
    """A word that is not empty, for `argparse`."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: leave it out, or give it a value")
    return line(text)


def line(text: str) -> str:
    """Text of one line that may be empty, for `argparse`: it is shown in tables and in a terminal."""
    odd = next((letter for letter in text if unicodedata.category(letter) in _BREAKS), None)
    if odd is not None:
        raise argparse.ArgumentTypeError(f"holds {odd!r}: write it on one line, without control characters")
    return text


def channel(text: str) -> str:
    """A channel that people give wheels to, for `argparse`: not one that a cascade hides its own in."""
    if is_hidden(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a name that cascades stage in: choose another one")
    return given(text)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty: leave it out, or give it a path")
    return Path(text)
