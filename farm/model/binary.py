"""What a binary file says about itself, in one form for ELF, PE and Mach-O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class BinaryFormat(StrEnum):
    """The formats of binaries that wheels hold."""

    ELF = "elf"
    PE = "pe"
    MACHO = "macho"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A dynamic symbol. `version` is the ELF symbol version (``GLIBC_2.14``), empty elsewhere.

    `name` is what C and `dlsym` call it: the underscore that Mach-O puts before C names is taken off. A PE import by
    number is called ``#12``. `library` is the needed library an import is bound to, where the format records it (ELF by
    version, PE, Mach-O); of an export it is where another library's symbol is passed on from (Mach-O: the library,
    PE: ``NTDLL.RtlAllocateHeap``). `size` is in bytes, ELF only; `kind` is ``func | object | tls | ifunc | other``, and
    ``other`` for imports of PE and Mach-O, which do not say.
    """

    name: str
    version: str = ""
    library: str = ""
    size: int = 0
    kind: str = "func"
    weak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """How a binary is named, what it needs and what it offers.

    `arch` is the architecture as the platform's toolchain file spells it: ``aarch64`` on Linux and Windows, ``arm64``
    on macOS; a fat Mach-O of x86_64 and arm64 is ``universal2``. `soname` is the soname, DLL name or install name;
    `needed` are the libraries it loads, in file order (PE: then those that it loads at their first use); `rpath` and
    `runpath` are split at the separator, and Mach-O's LC_RPATHs are `runpath`; `version_needs` maps a needed library to
    its symbol versions.

    `os_floor` is the lowest system version (macOS, Windows' subsystem), (0, 0) where nothing says it; `signed` whether
    there is a code signature, None where the format has none. `hardening` are the protections that a PE file asks for:
    ``nx aslr high-entropy-va cfg``. `disagreements` are sentences about what the slices of a fat Mach-O file do not
    have in common.
    """

    format: BinaryFormat
    arch: str
    bits: int
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    exports: tuple[Symbol, ...] = ()
    imports: tuple[Symbol, ...] = ()
    version_needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    interpreter: str = ""
    is_executable: bool = False
    exec_stack: bool = False
    text_relocations: bool = False
    has_debug_info: bool = False
    os_floor: tuple[int, int] = (0, 0)
    signed: bool | None = None
    hardening: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()

    @property
    def taken(self) -> tuple[Symbol, ...]:
        """What it may take from libraries: what it imports, and of an ELF program the data that it exports. The linker
        gives a program its own copy of a library's data, under the library's name and of its size ("copy relocation" in
        the psABIs), so nothing is undefined there."""
        if self.format is not BinaryFormat.ELF or not self.is_executable:
            return self.imports
        return (*self.imports, *(symbol for symbol in self.exports if symbol.kind in ("object", "tls")))
