"""How the loader of each binary format finds what a binary needs, as one table.

ELF: by file name, along the run path. Mach-O: by path, in which ``@rpath`` stands for the entries of the run path.
PE: by file name, whatever its case, in the binary's own directory and those that Python code added.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from farm.model.binary import BinaryFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The words and habits of one format.

    `origins` are the spellings of "the directory of this binary" in run paths, `name_prefix` what stands before a
    shared name in its own header, `paths` whether needed libraries are paths, `own_directory` whether the binary's own
    directory is searched, `folded` whether case does not matter.
    """

    origins: tuple[str, ...] = ()
    name_prefix: str = ""
    paths: bool = False
    own_directory: bool = False
    folded: bool = False

    def below_origin(self, entry: str) -> str | None:
        """What follows the origin in an entry (``.`` if nothing does); None if it is not relative to it."""
        for origin in self.origins:
            if entry == origin:
                return "."
            if entry.startswith(origin + "/"):
                return entry[len(origin) + 1 :].lstrip("/") or "."
        return None

    def key(self, name: str) -> str:
        """Under this a library is known: its file name, in lower case where case does not matter."""
        file = name.rpartition("/")[2] if self.paths else name
        return file.lower() if self.folded else file


LOOKUPS: Mapping[BinaryFormat, Lookup] = {
    BinaryFormat.ELF: Lookup(origins=("$ORIGIN", "${ORIGIN}")),
    BinaryFormat.PE: Lookup(own_directory=True, folded=True),
    BinaryFormat.MACHO: Lookup(origins=("@loader_path",), name_prefix="@rpath/", paths=True),
}


def below(folder: str, rest: str) -> str:
    """A directory relative to site-packages; it starts with ``..`` if it leaves it."""
    return posixpath.normpath(posixpath.join(folder or ".", rest))
