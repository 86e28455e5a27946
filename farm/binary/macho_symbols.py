"""Symbols of a Mach-O file: what an object defines, what a library exports and imports."""

from __future__ import annotations

from collections.abc import Iterator

from farm.binary import macho_format as macho
from farm.binary.macho_file import MachoFile


def defined(file: MachoFile) -> Iterator[tuple[str, str]]:
    """(name, kind) of the symbols of an object file that a shared library made of it can export.

    Names are as in the file: C names have an underscore in front. What a C compiler hid is left out; kinds as in
    `farm.model.binary.Symbol`.
    """
    for symbol in file.symbols:
        hidden = symbol.type & (macho.N_STAB | macho.N_PEXT) or not symbol.type & macho.N_EXT
        undefined = symbol.type & macho.N_TYPE == macho.N_UNDF and not symbol.value
        if symbol.name and not hidden and not undefined:
            yield symbol.name, file.kind_of(symbol)
