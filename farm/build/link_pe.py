"""The linker of Windows DLLs.

What is public is said in a module definition file, with data marked: a DLL has no other way that holds for assembly
too. The linker takes from the archive what the definition names. The import library is made from the definition, in the
form that all linkers for Windows read.
"""

from __future__ import annotations

from farm.build import import_library
from farm.build.link_values import Inputs, Linker, LinkJob, Prepared, link_command, public
from farm.build.systems.base import Command
from farm.errors import BuildError


def definition(inputs: Inputs) -> str:
    """The text of the module definition file.

    DLLs cannot export what is thread-local: what only a glob takes is left out (libraries have functions for it on
    Windows), a name that is listed as such raises BuildError.
    """
    lines = []
    for export in public(inputs):
        if export.is_thread_local and export.name in inputs.exports:
            raise BuildError(
                f"{export.name} is thread-local, which no DLL can export",
                where=inputs.shared_name,
                fix="leave it out of [[products.library]] exports, or write it as a glob",
            )
        if export.is_thread_local:
            continue
        name = inputs.public_name(export.name)
        lines.append(f"  {name} DATA" if export.is_data else f"  {name}")
    return "\n".join([f'LIBRARY "{inputs.shared_name}"', "EXPORTS", *lines, ""])


def _prepare(inputs: Inputs) -> Prepared:
    file = inputs.folder / f"{inputs.product.name}.def"
    file.write_text(definition(inputs), "utf-8")
    return Prepared(archive=inputs.archive, exports=file)


def _command(job: LinkJob, strip: bool) -> Command:  # noqa: ARG001 - the toolchain's links are all stripped
    argv = [job.driver, "-shared", "-o", f"{job.out}/{job.shared_name}"]
    argv += [job.archive, job.exports, *job.needed]
    return link_command(job, argv)


def _import(job: LinkJob) -> Command:
    out = f"{job.out}/{LINKER.import_library.format(name=job.product.name)}"
    words = import_library.arguments(job.toolchain.arch, job.shared_name, definition=job.exports, out=out)
    return link_command(job, ["dlltool", *words])


LINKER = Linker(prepare=_prepare, command=_command, import_library="{name}.lib", make_import=_import)
