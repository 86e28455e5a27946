"""Read ELF files into a `Linkage` (System V gABI and the GNU symbol version extension)."""

from __future__ import annotations

from farm.binary import elf_format as elf
from farm.binary.bounded import Strings
from farm.binary.elf_dynamic import Dynamic, dynamic_of
from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import dynamic_symbols, versions_of
from farm.model.binary import BinaryFormat, Linkage


def read(data: bytes | memoryview, name: str) -> Linkage:
    """What an ELF file says about its linkage; `name` is for messages.

    Raises BinaryFormatError (file and fact) if the file is no ELF file, is cut short or contradicts itself.
    """
    return linkage_of(ElfFile(data, name))


def linkage_of(file: ElfFile) -> Linkage:
    """The linkage of a file that is already open."""
    dynamic = dynamic_of(file)
    versions = versions_of(file, dynamic)
    exports, imports = dynamic_symbols(file, dynamic, versions)
    soname = _string(dynamic, elf.DT_SONAME)
    interpreter = _interpreter(file)
    return Linkage(
        format=BinaryFormat.ELF,
        arch=file.arch,
        bits=file.bits,
        soname=soname,
        needed=tuple(dynamic.strings.at(at) for at in dynamic.needed),
        rpath=_paths(_string(dynamic, elf.DT_RPATH)),
        runpath=_paths(_string(dynamic, elf.DT_RUNPATH)),
        exports=exports,
        imports=imports,
        version_needs=versions.by_library,
        interpreter=interpreter,
        is_executable=_is_executable(file, dynamic, interpreter, soname),
        exec_stack=_exec_stack(file),
        text_relocations=elf.DT_TEXTREL in dynamic.entries
        or bool(dynamic.entries.get(elf.DT_FLAGS, 0) & elf.DF_TEXTREL),
        has_debug_info=any(section.is_debug for section in file.sections),
    )


def _string(dynamic: Dynamic, tag: int) -> str:
    if tag not in dynamic.entries:
        return ""
    return dynamic.strings.at(dynamic.entries[tag])


def _paths(value: str) -> tuple[str, ...]:
    """Split a search path. An empty entry means the current directory and is kept as such."""
    return tuple(value.split(":")) if value else ()


def _interpreter(file: ElfFile) -> str:
    segment = file.segment(elf.PT_INTERP)
    if segment is None:
        return ""
    return Strings(file, bytes(file.span(segment.offset, segment.size, "the interpreter")), "the interpreter").at(0)


def _is_executable(file: ElfFile, dynamic: Dynamic, interpreter: str, soname: str) -> bool:
    if file.type != elf.ET_DYN:
        return bool(file.type == elf.ET_EXEC)
    pie = dynamic.entries.get(elf.DT_FLAGS_1, 0) & elf.DF_1_PIE
    return bool(pie or (interpreter and not soname))


def _exec_stack(file: ElfFile) -> bool:
    if file.type == elf.ET_REL:
        return False
    segment = file.segment(elf.PT_GNU_STACK)
    if segment is None:
        return file.machine in elf.EXEC_STACK_BY_DEFAULT
    return bool(segment.flags & elf.PF_X)
