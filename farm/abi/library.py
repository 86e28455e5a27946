"""The ABI of one built library, by its exports and, on ELF, by its debug information, which libabigail reads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from farm.abi import debug_info, debug_types, header_text, surface
from farm.binary import formats
from farm.errors import BinaryFormatError, MissingToolError
from farm.model.abi import AbiLibrary
from farm.model.binary import BinaryFormat, Linkage
from farm.model.mangling import PLAIN, Mangling
from farm.process import Cancel, run

_OPTIONS = ("--no-corpus-path", "--no-comp-dir-path")
_SECONDS = 1800.0


def describe(
    file: Path,
    include: Path,
    headers: Collection[Path],
    mangling: Mangling = PLAIN,
    *,
    cancel: Cancel | None = None,
) -> AbiLibrary:
    """The ABI of a library that has its debug information with it.

    `headers` are its public headers, below `include`: what they do not define is private. `mangling` makes the exported
    names of theirs. Types are not looked at in a
    format other than ELF. Raises BinaryFormatError for a damaged file, MissingToolError without `abidw`.
    """
    linkage = linkage_of(file)
    found = surface.symbols_of(linkage, header_text.names_in(headers), mangling)
    if linkage.format is not BinaryFormat.ELF:
        return found
    if not linkage.has_debug_info:
        raise BinaryFormatError(
            "has no debug information, so its types are not known",
            where=file.name,
            fix="compile with -g: the recipe's own flags must not take it back",
        )
    told = debug_info.told(file.read_bytes(), file.name)
    told = replace(told, headers=frozenset(path.name for path in (*include.rglob("*.h*"), *headers)))
    types = debug_types.read(_corpus(file, cancel), file.name, mangling, told)
    return replace(found, functions=types.functions, variables=types.variables, types=types.types, typed=True)


def linkage_of(file: Path) -> Linkage:
    """How a library is linked. Raises BinaryFormatError for what is none."""
    linkage = formats.read_file(file)
    if linkage is None:
        raise BinaryFormatError("is no library", where=str(file), fix="name an ELF, PE or Mach-O file")
    return linkage


def _corpus(file: Path, cancel: Cancel | None) -> bytes:
    """What abidw says of a file; by way of another file, because it may be long and its warnings are no part of it."""
    with tempfile.TemporaryDirectory(prefix="farm-abi-") as scratch:
        out = Path(scratch) / "corpus.xml"
        readable = debug_info.for_libabigail(file, Path(scratch))
        command: list[str | Path] = [abidw(), *_OPTIONS, "--out-file", out, readable]
        run(command, timeout=_SECONDS, cancel=cancel)
        return out.read_bytes() if out.exists() else b""


def abidw() -> str:
    """libabigail's program. Raises MissingToolError."""
    found = shutil.which("abidw")
    if found is None:
        raise MissingToolError(
            "the program 'abidw' of libabigail is not on this machine", fix="apt-get install abigail-tools"
        )
    return found
