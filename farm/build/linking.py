"""Link what a build left in its prefix: the shared libraries, and on ELF the anchor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from farm.binary import formats
from farm.build import link, link_elf, rename
from farm.build.frame import Task
from farm.build.result import LinkedLibrary
from farm.build.sandbox import Sandbox
from farm.build.workspace import Rooms
from farm.errors import BuildError
from farm.model.binary import BinaryFormat
from farm.model.names import anchor_name
from farm.wheel import native_manifest
from farm.wheel.native_links import STYLES

_ANCHOR_SOURCE = "/* nothing: the anchor only needs its libraries */\n"


def link_libraries(
    task: Task, rooms: Rooms, sandbox: Sandbox, level: str = "", baseline: tuple[LinkedLibrary, ...] = ()
) -> tuple[LinkedLibrary, ...]:
    """Link every product of the recipe from a finished prefix.

    `level` is a variant's; it is given exactly the exports that its `baseline` has, so that one ABI holds for all
    levels. Raises BuildError if an archive is missing, a symbol is undefined or nothing is public.
    """
    products = task.effective.products.library
    if not products:
        raise BuildError("the recipe names no library", where=task.step.id, fix="add a [[products.library]] table")
    folder = task.space.out / (level or "baseline")
    (folder / "unstripped").mkdir(parents=True, exist_ok=True)
    linked: list[LinkedLibrary] = []
    for product in products:
        same = next((at for at in baseline if at.link_name == product.name), None)
        inputs = link.Inputs(
            product=product,
            epoch=task.epoch,
            toolchain=task.tools.toolchain,
            exports=_exports(same) if same else product.exports,
            archive=link.find_archive(rooms.prefix, product, step=task.step.id),
            folder=folder,
        )
        linked.append(_link_one(task, sandbox, level, inputs, linked))
    return tuple(linked)


def _link_one(
    task: Task, sandbox: Sandbox, level: str, inputs: link.Inputs, earlier: list[LinkedLibrary]
) -> LinkedLibrary:
    """Link, where the format has a symbol table a second time with it: audits want it, users do not, and no strip tool
    is trusted."""
    linker, folder = link.LINKERS[inputs.toolchain.binary], inputs.folder
    own = rename.public_names(inputs)
    names = {**rename.inherited(inputs, earlier), **own}
    prepared = rename.rename(inputs, linker.prepare(inputs), names)
    job = link.LinkJob(
        product=inputs.product,
        epoch=inputs.epoch,
        toolchain=inputs.toolchain,
        archive=sandbox.path(prepared.archive),
        out=sandbox.path(folder),
        exports=sandbox.path(prepared.exports) if prepared.exports else "",
        deps=dependencies(sandbox, task.space.deps),
        earlier=tuple(sandbox.path(at.import_library or at.path) for at in earlier),
        level=level,
        debug=task.debug,
    )
    twin = folder
    if linker.has_twin:
        twin = folder / "unstripped"
        unstripped = tuple(sandbox.path(at.import_library or at.unstripped) for at in earlier)
        _run(task, sandbox, replace(job, out=sandbox.path(twin), earlier=unstripped), twin, earlier, strip=False)
    _run(task, sandbox, job, folder, earlier, strip=True)
    if linker.make_import:
        task.runner.run(sandbox, linker.make_import(job))
    stub = linker.import_library.format(name=inputs.product.name)
    library = LinkedLibrary(
        link_name=inputs.product.name,
        shared_name=inputs.shared_name,
        path=folder / inputs.shared_name,
        unstripped=twin / inputs.shared_name,
        level=level,
        import_library=folder / stub if stub else None,
    )
    return rename.proven(library, own)


def _run(
    task: Task, sandbox: Sandbox, job: link.LinkJob, folder: Path, earlier: list[LinkedLibrary], *, strip: bool
) -> None:
    """Link into a folder. Whether it needs another library of the recipe only the linker knows; if so, it is linked
    again, with its own directory in the run path: one that needs none has no entry there that leads to nothing."""
    linker = link.LINKERS[job.toolchain.binary]
    task.runner.run(sandbox, linker.command(job, strip))
    linkage = formats.read_file(folder / job.shared_name) if linker.beside and earlier else None
    needed = {name.rpartition("/")[2] for name in linkage.needed} if linkage else set()
    if needed.intersection(library.shared_name for library in earlier):
        task.runner.run(sandbox, linker.command(replace(job, beside=linker.beside), strip))


def _exports(baseline: LinkedLibrary) -> tuple[str, ...]:
    """The names of the sources that a library exports."""
    if baseline.renamed:
        return tuple(sorted(baseline.renamed))
    linkage = formats.read_file(baseline.path)
    names = tuple(sorted({symbol.name for symbol in linkage.exports})) if linkage else ()
    if not names:
        raise BuildError("exports no symbol", where=baseline.shared_name, fix="widen [[products.library]] exports")
    return names


def dependencies(sandbox: Sandbox, site: Path) -> tuple[link.Dependency, ...]:
    """The native packages in a site directory, by name, for linking. Raises BinaryFormatError for a damaged one."""
    found = []
    for file in sorted(site.glob("*.dist-info/native.json")):
        manifest = native_manifest.parse(file.read_bytes(), str(file))
        found.append(link.Dependency(root=sandbox.path(site / manifest.import_name), manifest=manifest))
    return tuple(found)


def link_anchor(task: Task, sandbox: Sandbox, libraries: tuple[LinkedLibrary, ...]) -> Path | None:
    """Make the anchor of the baseline's libraries; None where the loader needs none."""
    binary = BinaryFormat(task.tools.toolchain.binary)
    if not STYLES[binary].has_anchor:
        return None
    source = task.space.out / "anchor.c"
    source.write_text(_ANCHOR_SOURCE, "utf-8")
    name = task.recipe.recipe.import_name
    command = link_elf.anchor(
        name,
        task.epoch,
        [sandbox.path(library.path) for library in libraries],
        source=sandbox.path(source),
        out=sandbox.path(task.space.out),
    )
    task.runner.run(sandbox, command)
    return task.space.out / anchor_name(name, task.epoch, binary)
