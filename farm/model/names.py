"""Shared names: the one file name, soname / DLL name / install name of a library in this farm, and native versions.

A shared name is a function of the library, the farm and the ABI epoch, so it is the same for every release that keeps
the ABI and different from every system's and every vendored copy. On glibc an already loaded library of the same soname
wins over a run path, so only a name of its own guarantees which copy is used.

The epoch has a fixed width: names of two epochs have the same length, so a reference can be renamed in place in ELF,
PE and Mach-O files. Pure functions; nothing here reads a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import InvalidVersion

from farm.errors import CatalogError
from farm.model import pypa
from farm.model.binary import BinaryFormat

FARM_ID = "nf"
EPOCH_WIDTH = 2
MAX_EPOCH = 10**EPOCH_WIDTH - 1

_LIBRARY = re.compile(r"[a-z0-9]([a-z0-9_+.-]*[a-z0-9+])?")
_SHAPES = {
    BinaryFormat.ELF: ("lib", ".so"),
    BinaryFormat.PE: ("", ".dll"),
    BinaryFormat.MACHO: ("lib", ".dylib"),
}
_MACHO_PREFIX = "@rpath/"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SharedName:
    """A shared name taken apart: `library` is the link name (``gmp`` for -lgmp), `epoch` its ABI epoch."""

    library: str
    epoch: int
    format: BinaryFormat

    def __str__(self) -> str:
        return shared_name(self.library, self.epoch, self.format)


def shared_name(library: str, epoch: int, binary_format: BinaryFormat | str) -> str:
    """The library's file name: ``libgmp-nf10.so``, ``gmp-nf10.dll``, ``libgmp-nf10.dylib``.

    `library` is the link name. Raises CatalogError for a name or an epoch (1..99) that cannot be written this way.
    """
    if not _LIBRARY.fullmatch(library):
        raise CatalogError([f"{library!r} is no library name: lower-case letters, digits and _ + . - only"])
    if not 1 <= epoch <= MAX_EPOCH:
        raise CatalogError([f"{library}: the ABI epoch is {epoch}, not one of 1..{MAX_EPOCH}"])
    prefix, suffix = _SHAPES[BinaryFormat(binary_format)]
    return f"{prefix}{library}-{FARM_ID}{epoch:0{EPOCH_WIDTH}d}{suffix}"


def install_name(library: str, epoch: int, binary_format: BinaryFormat | str) -> str:
    """What a dependent records: the file name on ELF and PE, ``@rpath/libgmp-nf10.dylib`` on Mach-O."""
    name = shared_name(library, epoch, binary_format)
    return _MACHO_PREFIX + name if BinaryFormat(binary_format) is BinaryFormat.MACHO else name


def anchor_name(import_name: str, epoch: int, binary_format: BinaryFormat | str = BinaryFormat.ELF) -> str:
    """The anchor's file name: ``libnative_gmp-nf10.anchor.so``; unique, since musl remembers libraries by name."""
    stem = shared_name(import_name, epoch, binary_format)
    suffix = _SHAPES[BinaryFormat(binary_format)][1]
    return f"{stem.removesuffix(suffix)}.anchor{suffix}"


def parse_shared_name(name: str) -> SharedName | None:
    """Take a shared name apart; None for any other name. Accepts a directory or ``@rpath/`` before it.

    ``parse_shared_name(shared_name(l, e, f)) == SharedName(library=l, epoch=e, format=f)``.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    for binary_format, (prefix, suffix) in _SHAPES.items():
        if not (base.startswith(prefix) and base.endswith(suffix)):
            continue
        stem = base[len(prefix) : len(base) - len(suffix)]
        match = re.fullmatch(rf"(?P<library>.+)-{FARM_ID}(?P<epoch>[0-9]{{{EPOCH_WIDTH}}})", stem)
        if match and _LIBRARY.fullmatch(match["library"]) and int(match["epoch"]) >= 1:
            return SharedName(library=match["library"], epoch=int(match["epoch"]), format=binary_format)
    return None


def renamed(name: str, epoch: int) -> str:
    """The same shared name in another epoch, of the same length. Raises CatalogError if `name` is no shared name."""
    parsed = parse_shared_name(name)
    if parsed is None:
        raise CatalogError([f"{name!r} is not a shared name of this farm"])
    base = str(parsed)
    return name[: len(name) - len(base)] + shared_name(parsed.library, epoch, parsed.format)


def native_version(release: str, revision: int, epoch: int) -> str:
    """The native wheel's version: the release with the ABI epoch as PEP 440 version epoch, ``10!6.3.0.post1``.

    `revision` counts the farm's own changes of the same release. Raises CatalogError for an upstream version that
    uses the parts that the farm needs (an epoch, a local part, or a post-release together with a revision).
    """
    try:
        parsed = pypa.version(release)
    except InvalidVersion as error:
        raise CatalogError([f"{release!r} is not a PEP 440 version"]) from error
    if parsed.epoch or parsed.local or (parsed.post is not None and revision):
        raise CatalogError([f"{release!r} has an epoch, a local part or a post-release, which the farm sets itself"])
    post = f".post{revision}" if revision else ""
    return f"{epoch}!{parsed}{post}"


def upper_bound(epoch: int) -> str:
    """The first version that a dependent of this epoch must not get: ``11!0``."""
    return f"{epoch + 1}!0"
