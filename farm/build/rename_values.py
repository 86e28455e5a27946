"""What it is to give symbols of object files other names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from farm.errors import BuildError

_IMPORTED = "__imp_"  # before the name of what is imported on Windows: the slot that holds its address


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Old name -> new name, as object files have them: with the `underscore` that a format puts before names in C.

    `taken` are the new names: no other symbol may have one of them.
    """

    renamed: Mapping[str, str]
    underscore: str = ""
    taken: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "taken", frozenset(self.renamed.values()) - self.renamed.keys())

    def new(self, name: str, where: str) -> str | None:
        """The new name of a symbol that other files may see; None if it keeps the one it has.

        Raises BuildError if it already has the name that another is to get.
        """
        if name in self.renamed:
            return self.renamed[name]
        if name in self.taken:
            raise BuildError(
                f"uses the name {name.removeprefix(self.underscore)}, which another symbol gets from the recipe",
                where=where,
                fix="choose another symbol_prefix or symbol_suffix in [[products.library]]",
            )
        slot = name.removeprefix(_IMPORTED)
        return f"{_IMPORTED}{self.renamed[slot]}" if slot != name and slot in self.renamed else None

    def in_c(self, name: str) -> str:
        """The new name in C for an old name in C, the same if it keeps it."""
        return self.renamed.get(f"{self.underscore}{name}", f"{self.underscore}{name}").removeprefix(self.underscore)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamer:
    """How symbols of one format's object files get other names.

    `fits` tells from the first four bytes whether a file is such an object. `rename` makes the object with other names;
    what a symbol is, its size and every reference to it stay. `exported` are names in C that an object exports by
    itself, whatever the recipe says is public. Both take the object's bytes and its name for messages, and raise
    BinaryFormatError for a damaged one and BuildError for what cannot be renamed.
    """

    fits: Callable[[bytes], bool]
    rename: Callable[[memoryview, str, Names], bytes]
    exported: Callable[[memoryview, str], Iterable[str]]


class Added:
    """A table of strings that grows at its end: nothing that is there moves."""

    def __init__(self, table: bytes) -> None:
        self._table = bytearray(table)
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """Where in the table a name is; it is added if it was not before."""
        if name not in self._places:
            self._places[name] = len(self._table)
            self._table += name.encode("utf-8") + b"\0"
        return self._places[name]

    def table(self) -> bytes:
        """The whole table."""
        return bytes(self._table)
