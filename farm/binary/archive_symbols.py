"""What a static archive defines: the names that a shared library linked from it can export, and what they are.

Linkers for Windows must be told which exports are data (``DATA`` in a ``.def`` file), so the kind of a symbol is
read from the object files. Where a member is no object file (link-time optimisation leaves bitcode), the archive's
index still names its symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.binary import coff_object, elf_symbols, macho_symbols
from farm.binary import elf_format as elf
from farm.binary import macho_format as macho
from farm.binary.archive_file import Archive, Member
from farm.binary.elf_file import ElfFile
from farm.binary.macho_file import MachoFile
from farm.errors import BinaryFormatError

# Kind of a symbol in an object file -> kind for whoever writes an export list
_KINDS = {"func": "func", "ifunc": "func", "object": "data", "tls": "tls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSymbol:
    """A symbol that an archive defines; `kind` is ``func | data | tls | other``.

    The name is as in the file: Mach-O and i686 Windows put an underscore in front of every C name, the others do not.
    """

    name: str
    kind: str


def symbols(path: Path) -> tuple[ArchiveSymbol, ...]:
    """The global symbols that an archive defines, sorted by name, each once.

    Symbols with hidden visibility are left out, as are the helpers of COFF compilers, whose names no C program can
    have (``.refptr.x``, ``.weak.x.default.y``) and, in import libraries, the slots ``__imp_x``. If two members define
    a name, the first one counts, as it does for linkers. Raises BinaryFormatError if the archive or one of its
    members is damaged, or if the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BinaryFormatError(
            f"cannot be read: {error.strerror}", where=str(path), fix="check the path and who may read the file"
        ) from error
    archive = Archive(data, str(path))
    found: dict[str, str] = {}
    for member in archive.members:
        for name, kind in _defined(archive, member):
            found.setdefault(name, kind)
    return tuple(ArchiveSymbol(name=name, kind=found[name]) for name in sorted(found))


def _defined(archive: Archive, member: Member) -> Iterator[tuple[str, str]]:
    where = f"{archive.name}({member.name})"
    head = bytes(member.data[:4])
    for fits, read in _OBJECTS:
        if fits(head):
            for name, kind in read(member.data, where):
                yield name, _KINDS.get(kind, "other")
            return
    for name in archive.index.get(member.at, ()):
        yield name, "other"


def _elf(data: memoryview, where: str) -> Iterator[tuple[str, str]]:
    return elf_symbols.defined(ElfFile(data, where))


def _macho(data: memoryview, where: str) -> Iterator[tuple[str, str]]:
    return macho_symbols.defined(MachoFile(data, where))


def _coff(data: memoryview, where: str) -> Iterator[tuple[str, str]]:
    return ((n, k) for n, k in coff_object.defined(data, where) if not n.startswith((".", "__imp_")))


_Read = Callable[[memoryview, str], Iterator[tuple[str, str]]]
# First four bytes -> who reads the object
_OBJECTS: tuple[tuple[Callable[[bytes], bool], _Read], ...] = (
    (lambda head: head == elf.MAGIC, _elf),
    (lambda head: head in macho.MAGICS, _macho),
    (coff_object.is_coff, _coff),
)
