"""Read Mach-O files (macOS programs, libraries and bundles), thin and fat, into a `Linkage`."""

from __future__ import annotations

from farm.binary import macho_format as macho
from farm.binary.macho_fat import merged, slices
from farm.binary.macho_file import MachoFile
from farm.binary.macho_symbols import exports_of, imports_of
from farm.model.binary import BinaryFormat, Linkage


def read(data: bytes | memoryview, name: str) -> Linkage:
    """What a Mach-O file says about its linkage; `name` is for messages. A fat file is merged, see `macho_fat.merged`.

    Raises BinaryFormatError (file and fact) if the file is no Mach-O file, is cut short or contradicts itself.
    """
    return merged([linkage_of(file) for file in slices(data, name)])


def linkage_of(file: MachoFile) -> Linkage:
    """The linkage of one slice that is already open."""
    needed = tuple(file.text(c) for c in file.commands if c.type in macho.LOADS)
    install_name = file.command(macho.LC_ID_DYLIB)
    loader = file.command(macho.LC_LOAD_DYLINKER)
    is_program = file.type == macho.MH_EXECUTE
    return Linkage(
        format=BinaryFormat.MACHO,
        arch=file.arch,
        bits=file.bits,
        soname=file.text(install_name) if install_name else "",
        needed=needed,
        runpath=tuple(file.text(c) for c in file.commands if c.type == macho.LC_RPATH),
        exports=exports_of(file, needed),
        imports=imports_of(file, needed),
        interpreter=file.text(loader) if loader and is_program else "",  # some linkers note it in libraries too
        is_executable=is_program,
        exec_stack=bool(file.flags & macho.MH_ALLOW_STACK_EXECUTION),
        has_debug_info=any(s.name == "__DWARF" for s in file.segments)
        or any(s.type & macho.N_STAB for s in file.symbols),
        os_floor=_os_floor(file),
        signed=file.command(macho.LC_CODE_SIGNATURE) is not None,
    )


def _os_floor(file: MachoFile) -> tuple[int, int]:
    """The minimum macOS, from the new load command or the old one."""
    for command in file.commands:
        if command.type == macho.LC_BUILD_VERSION:
            version = file.fields(command, "pair")[1]
        elif command.type == macho.LC_VERSION_MIN_MACOSX:
            (version,) = file.fields(command, "word")
        else:
            continue
        return version >> 16, version >> 8 & 0xFF
    return 0, 0
