"""Read PE files (Windows programs, DLLs and extension modules) into a `Linkage`."""

from __future__ import annotations

from farm.binary import pe_format as pe
from farm.binary.pe_file import PeFile
from farm.binary.pe_symbols import exports_of, imports_of
from farm.model.binary import BinaryFormat, Linkage


def read(data: bytes | memoryview, name: str) -> Linkage:
    """What a PE file says about its linkage; `name` is for messages.

    Raises BinaryFormatError (file and fact) if the file is no PE image, is cut short or contradicts itself.
    """
    return linkage_of(PeFile(data, name))


def linkage_of(file: PeFile) -> Linkage:
    """The linkage of a file that is already open."""
    exports = exports_of(file)
    imports = tuple(imports_of(file))
    return Linkage(
        format=BinaryFormat.PE,
        arch=file.arch,
        bits=file.bits,
        soname=exports.library,
        needed=tuple(dict.fromkeys(table.library for table in imports)),
        exports=exports.symbols,
        imports=tuple(symbol for table in imports for symbol in table.symbols),
        is_executable=not file.flags & pe.FILE_IS_DLL,
        has_debug_info=_has_dwarf(file) or bool(debug_path(file)),
        os_floor=file.subsystem_version,
        hardening=tuple(name for bit, name in pe.PROTECTIONS.items() if file.characteristics & bit),
    )


def _has_dwarf(file: PeFile) -> bool:
    return any(section.name.startswith((".debug_", ".zdebug_")) for section in file.sections)


def debug_path(file: PeFile) -> str:
    """The path of the PDB file that the linker noted; empty if there is none."""
    address, size = file.directory(pe.DEBUG_TABLE)
    table = file.mapped(address, size - size % pe.DEBUG.size, "the debug directory") if address else b""
    for _, _, _, _, type_, length, _, offset in pe.DEBUG.iter_unpack(table):
        if type_ == pe.DEBUG_CODEVIEW:
            kind = bytes(file.span(offset, length, "the debug record")[:4])
            start = pe.CODEVIEW_PATH_AT.get(kind, length)
            path = (
                file.string(offset + start, offset + length, "the path in the debug record") if start < length else ""
            )
            if path:
                return path
    return ""
