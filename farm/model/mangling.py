"""Public names of a library: what a recipe puts before and after the names that its sources have.

Names here are names in C. What a binary format adds (the underscore of Mach-O and of 32-bit Windows) is not in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How compilers write a C++ name in a symbol: the Itanium ABI, and Microsoft's.
_CXX = ("_Z", "?")

_BEFORE, _BEHIND = r"^([A-Za-z_][A-Za-z0-9_]*)?$", r"^[A-Za-z0-9_]*$"


def _begins_names(text: str) -> str:
    """Refuse what cannot stand before a name in C."""
    if not re.fullmatch(_BEFORE, text):
        raise ValueError(f"{text!r} cannot begin a name in C: letters, digits and underscores only, no digit first")
    return text


def _ends_names(text: str) -> str:
    """Refuse what cannot stand behind a name in C."""
    if not re.fullmatch(_BEHIND, text):
        raise ValueError(f"{text!r} cannot end a name in C: letters, digits and underscores only")
    return text


NamePrefix = Annotated[str, AfterValidator(_begins_names), WithJsonSchema({"type": "string", "pattern": _BEFORE})]
NameSuffix = Annotated[str, AfterValidator(_ends_names), WithJsonSchema({"type": "string", "pattern": _BEHIND})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mangling:
    """Makes public names of plain ones: ``prefix + name + suffix``. True if it changes anything.

    What an assembler or linker puts behind an ``@`` (the size of the arguments of a ``stdcall`` function, a symbol
    version) is no part of the name and stays at the end.
    """

    prefix: str = ""
    suffix: str = ""

    def __bool__(self) -> bool:
        return bool(self.prefix or self.suffix)

    def __call__(self, name: str) -> str:
        """The public name of a plain one, or the glob of public names for a glob of plain ones."""
        base, at, rest = name.partition("@")
        return f"{self.prefix}{base}{self.suffix}{at}{rest}"


PLAIN = Mangling()
"""Public names are those of the sources."""


def is_identifier(name: str) -> bool:
    """Whether a name can be written in C, so that a macro can replace it."""
    return _IDENTIFIER.fullmatch(name) is not None


def is_cxx(name: str) -> bool:
    """Whether a symbol is the mangled name of something in C++: no header can give that another name."""
    return name.startswith(_CXX)


def symbols_header(import_name: str) -> str:
    """The header that declares the public names of a native package: ``native_toy_symbols.h``."""
    return f"{import_name}_symbols.h"
