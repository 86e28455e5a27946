"""The dynamic segment of an ELF file: what the run-time linker sees, read without section headers."""

from __future__ import annotations

from dataclasses import dataclass

from farm.binary import elf_format as elf
from farm.binary.bounded import Strings
from farm.binary.elf_file import ElfFile

# Tags of which the run-time linker uses one; two different values mean that tools disagree about the file.
_ONLY_ONCE = frozenset({elf.DT_STRTAB, elf.DT_STRSZ, elf.DT_SYMTAB, elf.DT_SONAME, elf.DT_VERSYM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """The dynamic table: `entries` holds the last value of each tag, `needed` the string offsets of DT_NEEDED."""

    entries: dict[int, int]
    needed: tuple[int, ...]
    strings: Strings


def dynamic_of(file: ElfFile) -> Dynamic:
    """Read the dynamic segment; an empty table if there is none (static programs, object files)."""
    segment = file.segment(elf.PT_DYNAMIC)
    if segment is None or segment.size == 0:
        return Dynamic(entries={}, needed=(), strings=_strings(file, {}))
    if file.offset_of(segment.address, "the dynamic segment") != segment.offset:
        raise file.error("lies: its dynamic segment is at another place in the file than in memory")
    layout = file.layout.dynamic
    usable = segment.size - segment.size % layout.size
    entries: dict[int, int] = {}
    needed: list[int] = []
    for tag, value in layout.iter_unpack(file.span(segment.offset, usable, "the dynamic segment")):
        if tag == 0:
            break
        if tag == elf.DT_NEEDED:
            needed.append(value)
        elif tag in _ONLY_ONCE and entries.get(tag, value) != value:
            raise file.error(f"has two different values for dynamic tag {tag:#x}")
        entries[tag] = value
    return Dynamic(entries=entries, needed=tuple(needed), strings=_strings(file, entries))


def _strings(file: ElfFile, entries: dict[int, int]) -> Strings:
    if elf.DT_STRTAB not in entries:
        return Strings(file, b"\0", "a dynamic name")
    if elf.DT_STRSZ not in entries:
        raise file.error("has a dynamic string table without a size")
    table = file.mapped(entries[elf.DT_STRTAB], entries[elf.DT_STRSZ], "the dynamic string table")
    return Strings(file, bytes(table), "a dynamic name")


def symbol_count(file: ElfFile, dynamic: Dynamic) -> int:
    """How many dynamic symbols there are: nothing in ELF says it, so take what the hash tables or sections imply."""
    entries = dynamic.entries
    if elf.DT_SYMTAB not in entries:
        return 0
    if elf.DT_HASH in entries:
        table = file.mapped(entries[elf.DT_HASH], 8, "the symbol hash table")
        return int(file.layout.word.unpack_from(table, 4)[0])
    address = entries[elf.DT_SYMTAB]
    for section in file.sections:
        if section.type == elf.SHT_DYNSYM and section.address == address:
            return section.size // file.layout.symbol.size
    hashed = _gnu_hash_count(file, entries[elf.DT_GNU_HASH]) if elf.DT_GNU_HASH in entries else 0
    return max(hashed, _highest_relocated_symbol(file, entries) + 1)


def _gnu_hash_count(file: ElfFile, address: int) -> int:
    """Walk the last chain of the GNU hash table: its end is the end of the symbol table."""
    table = file.mapped_from(address, "the GNU hash table")
    word = file.layout.word
    if len(table) < 16:
        raise file.error("ends inside its GNU hash table")
    buckets, first, bloom, _ = (word.unpack_from(table, at)[0] for at in (0, 4, 8, 12))
    start = 16 + bloom * file.layout.bloom_size
    chains = start + 4 * buckets
    if chains > len(table):
        raise file.error(
            f"lies: its GNU hash table has {buckets} buckets and {bloom} bloom words, more than its segment"
        )
    last = max((row[0] for row in word.iter_unpack(table[start:chains])), default=0)
    if last < first:
        return int(first)
    at = chains + 4 * (last - first)
    while at + 4 <= len(table):
        if word.unpack_from(table, at)[0] & 1:
            return int(first + (at - chains) // 4 + 1)
        at += 4
    raise file.error("lies: its GNU hash table has a chain without an end")


def _highest_relocated_symbol(file: ElfFile, entries: dict[int, int]) -> int:
    """Imports are not in the GNU hash table, but relocations name them."""
    layout = file.layout
    tables = [
        (elf.DT_RELA, elf.DT_RELASZ, layout.rela),
        (elf.DT_REL, elf.DT_RELSZ, layout.rel),
        (elf.DT_JMPREL, elf.DT_PLTRELSZ, layout.rela if entries.get(elf.DT_PLTREL) == elf.DT_RELA else layout.rel),
    ]
    highest = 0
    for tag, size_tag, row in tables:
        if tag in entries and entries.get(size_tag, 0):
            size = entries[size_tag] - entries[size_tag] % row.size
            table = file.mapped(entries[tag], size, "a relocation table")
            highest = max(highest, max((r[1] >> layout.symbol_shift for r in row.iter_unpack(table)), default=0))
    return highest
