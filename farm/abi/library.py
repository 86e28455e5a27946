"""The ABI of one built library, by its exports and, on ELF, by its debug information, which libabigail reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from farm.abi import debug_types, surface
from farm.binary import formats
from farm.errors import BinaryFormatError, MissingToolError
from farm.model.abi import AbiLibrary
from farm.model.binary import BinaryFormat
from farm.process import Cancel, run

_OPTIONS = ("--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--drop-private-types")
_SECONDS = 1800.0


def describe(file: Path, include: Path, headers: Iterable[Path], *, cancel: Cancel | None = None) -> AbiLibrary:
    """The ABI of a library that has its debug information with it.

    `headers` are its public headers, below `include`: what they do not define is private. Types are not looked at in a
    format other than ELF. Raises BinaryFormatError for a damaged file, MissingToolError without `abidw`.
    """
    linkage = formats.read_file(file)
    if linkage is None:
        raise BinaryFormatError("is no library", where=str(file), fix="name an ELF, PE or Mach-O file")
    found = surface.symbols_of(linkage, surface.names_in(headers))
    if linkage.format is not BinaryFormat.ELF:
        return found
    xml = run([abidw(), *_OPTIONS, "--headers-dir", include, file], timeout=_SECONDS, cancel=cancel).output
    types = debug_types.read(xml, file.name)
    return replace(found, functions=types.functions, variables=types.variables, types=types.types, typed=True)


def abidw() -> str:
    """libabigail's program. Raises MissingToolError."""
    found = shutil.which("abidw")
    if found is None:
        raise MissingToolError(
            "the program 'abidw' of libabigail is not on this machine", fix="apt-get install abigail-tools"
        )
    return found
