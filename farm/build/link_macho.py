"""The linker of macOS libraries.

The compiler's Mach-O linker takes no list of exports, so what is not public is hidden in the object files first: the
symbol table has a bit for it (`N_PEXT`, what ``-fvisibility=hidden`` sets), and assembly gets it as well.
"""

from __future__ import annotations

from pathlib import Path

from farm.binary import macho_format as macho
from farm.binary.archive_file import Archive
from farm.binary.macho_file import MachoFile, Nlist
from farm.build.link_values import Inputs, Linker, LinkJob, Prepared, is_public, link_command, public
from farm.build.systems.base import Command
from farm.model.names import install_name

_TYPE_AT = 4  # of n_type in a row of the symbol table, for 32 and 64 bits


def hide(inputs: Inputs, target: Path) -> None:
    """Copy the archive with every symbol hidden that the globs do not make public.

    Raises BinaryFormatError for a damaged archive.
    """
    data = bytearray(inputs.archive.read_bytes())
    for member in Archive(memoryview(data), str(inputs.archive)).members:
        if bytes(member.data[:4]) in macho.MAGICS:
            _hide(MachoFile(member.data, f"{inputs.archive.name}({member.name})"), inputs)
    target.write_bytes(data)


def _hide(file: MachoFile, inputs: Inputs) -> None:
    table = file.command(macho.LC_SYMTAB)
    if table is None:
        return
    start = file.fields(table, "symtab")[0]
    prefix = inputs.toolchain.symbol_prefix
    for row, symbol in enumerate(file.symbols):
        if _is_shown(symbol) and not is_public(symbol.name.removeprefix(prefix), inputs.exports):
            file.data[start + row * file.layout.symbol.size + _TYPE_AT] |= macho.N_PEXT


def _is_shown(symbol: Nlist) -> bool:
    """Whether an object file defines it for others (a common block has a size and no section)."""
    is_defined = symbol.type & macho.N_TYPE != macho.N_UNDF or symbol.value
    return bool(symbol.type & macho.N_EXT and not symbol.type & macho.N_STAB and is_defined)


def text_stub(inputs: Inputs) -> str:
    """A text-based stub of the library (``.tbd``, version 4): what linkers for macOS read instead of it."""
    target = f"{inputs.toolchain.arch}-macos"
    exports = public(inputs)
    rows = {
        "symbols": [export.name for export in exports if not export.is_thread_local],
        "thread-local-symbols": [export.name for export in exports if export.is_thread_local],
    }
    lists = [f"    {key}: [ {_quoted(names, inputs)} ]" for key, names in rows.items() if names]
    head = f"""\
--- !tapi-tbd
tbd-version: 4
targets: [ {target} ]
install-name: '{_install_name(inputs)}'
current-version: 1
compatibility-version: 1
exports:
  - targets: [ {target} ]
"""
    return "\n".join([head + "\n".join(lists), "...", ""])


def _quoted(names: list[str], inputs: Inputs) -> str:
    return ",\n      ".join(f"'{inputs.toolchain.symbol_prefix}{inputs.public_name(name)}'" for name in names)


def _install_name(at: Inputs | LinkJob) -> str:
    return install_name(at.product.name, at.epoch, at.toolchain.binary)


def _prepare(inputs: Inputs) -> Prepared:
    archive = inputs.folder / f"{inputs.product.name}.public.a"
    hide(inputs, archive)
    (inputs.folder / LINKER.import_library.format(name=inputs.product.name)).write_text(text_stub(inputs), "utf-8")
    return Prepared(archive=archive, exports=None)


def _command(job: LinkJob, strip: bool) -> Command:
    argv = [job.driver, "-shared", "-o", f"{job.out}/{job.shared_name}", "-install_name", _install_name(job)]
    argv += [f"-Wl,-rpath,{job.beside}"] if job.beside else []
    argv += [f"-Wl,-rpath,@loader_path/../../{dep.manifest.import_name}/lib" for dep in job.deps]
    # Only libraries that symbols come from are recorded, as with --as-needed.
    argv += [f"-Wl,-force_load,{job.archive}", "-Wl,-dead_strip_dylibs", *job.needed]
    argv += ["-Wl,-s"] if strip else []
    return link_command(job, argv)


LINKER = Linker(
    prepare=_prepare, command=_command, has_twin=True, import_library="lib{name}.tbd", beside="@loader_path"
)
