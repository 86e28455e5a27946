"""The ABI of a release: what programs that were linked to it rely on. And what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What a newer ABI means for programs that were linked to the older one."""

    IDENTICAL = "identical"
    COMPATIBLE = "compatible"
    BREAKING = "breaking"

    @property
    def rank(self) -> int:
        """Worse verdicts have higher ranks."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AbiSymbol:
    """An exported symbol. `version` is its GNU symbol version; `size` is in bytes and only of data: programs may hold a
    copy of it (copy relocations). `kind` is ``func | object | tls | ifunc | other``. `private`: data that no header
    names, so programs hold no copy."""

    name: str
    version: str = ""
    kind: str = "func"
    size: int = 0
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiFunction:
    """The C type of an exported function. A type is written as in C, typedefs resolved: ``const unsigned char *``."""

    result: str
    parameters: tuple[str, ...] = ()
    variadic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiMember:
    """A member of a struct or union; `offset` is in bits."""

    name: str
    type: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiType:
    """The layout of a public type, as ``struct z_stream_s`` or ``enum J_COLOR_SPACE``; `size` is in bytes.

    A struct or union has `members` in their order, an enum has `values` by name.
    """

    size: int
    members: tuple[AbiMember, ...] = ()
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiLibrary:
    """One shared library: exported symbols, sorted; the types of those that have debug information, by symbol; and the
    layouts of all public types that can be reached from them, by name. `typed`: types were looked at."""

    symbols: tuple[AbiSymbol, ...]
    functions: Mapping[str, AbiFunction] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, AbiType] = field(default_factory=dict)
    typed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Abi:
    """The ABI of a release of a recipe, measured on a platform, under an ABI epoch.

    `abi_class` is what platforms may share it: the binary format and the size of a pointer, ``elf64``. `libraries` are
    by link name; `headers` are the installed headers, sorted, with the literal values of their macros, which programs
    carry in them: ``{"zlib.h": {"Z_OK": "0"}}``.
    """

    recipe: str
    release: str
    epoch: int
    platform: str
    abi_class: str
    libraries: Mapping[str, AbiLibrary]
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def typed(self) -> bool:
        """Whether the types of every library were looked at."""
        return bool(self.libraries) and all(library.typed for library in self.libraries.values())

    @property
    def symbols(self) -> Iterator[AbiSymbol]:
        """The exported symbols of all libraries."""
        return (symbol for library in self.libraries.values() for symbol in library.symbols)

    @property
    def names(self) -> frozenset[str]:
        """All exported symbols, without versions."""
        return frozenset(symbol.name for symbol in self.symbols)


class ChangeKind(StrEnum):
    """What a change is about. CONSTANT: another value of something that headers define, but for the release's
    number."""

    LIBRARY = "library"
    SYMBOL = "symbol"
    FUNCTION = "function"
    VARIABLE = "variable"
    TYPE = "type"
    HEADER = "header"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiChange:
    """One difference, in words. `subject` is the symbol or type; `symbols` are the exported symbols that it concerns:
    who imports none of them is not concerned."""

    library: str
    kind: ChangeKind
    subject: str
    verdict: Verdict
    text: str
    symbols: frozenset[str] = frozenset()

    @property
    def said(self) -> str:
        """``deflate is gone``; of a library as a whole ``the library is gone``, which names its subject itself."""
        return self.text if self.subject == self.library else f"{self.subject} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiDifference:
    """All differences from an older to a newer ABI. `untyped`: libraries whose types could not be compared; `unknown`:
    symbols in the others whose types are not known, so that only their names, versions and sizes were compared."""

    older: Abi
    newer: Abi
    changes: tuple[AbiChange, ...]
    untyped: tuple[str, ...] = ()
    unknown: frozenset[str] = frozenset()

    @property
    def verdict(self) -> Verdict:
        """The worst of all changes."""
        return max((change.verdict for change in self.changes), key=lambda v: v.rank, default=Verdict.IDENTICAL)
