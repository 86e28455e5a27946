"""Link what a build left in its prefix: the shared libraries and the anchor."""

from __future__ import annotations

from pathlib import Path

from farm.binary import formats
from farm.build import link
from farm.build.frame import Task
from farm.build.result import LinkedLibrary
from farm.build.sandbox import Sandbox
from farm.build.workspace import Rooms
from farm.errors import BuildError
from farm.model.names import anchor_name
from farm.model.recipe import LibraryProduct
from farm.wheel import native_manifest

_ANCHOR_SOURCE = "/* nothing: the anchor only needs its libraries */\n"


def link_libraries(
    task: Task, rooms: Rooms, sandbox: Sandbox, level: str = "", baseline: tuple[LinkedLibrary, ...] = ()
) -> tuple[LinkedLibrary, ...]:
    """Link every product of the recipe from a finished prefix.

    `level` is a variant's; it is given exactly the exports that its `baseline` has, so that one ABI holds for all
    levels. Raises BuildError if an archive is missing or a symbol is undefined.
    """
    products = task.recipe.recipe.products.library
    if not products:
        raise BuildError("the recipe names no library", where=task.step.id, fix="add a [[products.library]] table")
    folder = task.space.out / (level or "baseline")
    (folder / "unstripped").mkdir(parents=True, exist_ok=True)
    linked: list[LinkedLibrary] = []
    for product in products:
        same = next((at for at in baseline if at.link_name == product.name), None)
        script = folder / f"{product.name}.map"
        script.write_text(link.version_script(_exports(same) if same else product.exports), "utf-8")
        linked.append(_link_one(task, rooms, sandbox, level, product, script, linked))
    return tuple(linked)


def _link_one(
    task: Task,
    rooms: Rooms,
    sandbox: Sandbox,
    level: str,
    product: LibraryProduct,
    script: Path,
    earlier: list[LinkedLibrary],
) -> LinkedLibrary:
    """Link twice, with and without the symbol table: audits want it, users do not, and no strip tool is trusted."""
    folder = script.parent
    archive = link.find_archive(rooms.prefix, product, step=task.step.id)
    made = {}
    for place, strip in ((folder / "unstripped", False), (folder, True)):
        job = link.LinkJob(
            product=product,
            epoch=task.epoch,
            toolchain=task.tools.toolchain,
            archive=sandbox.path(archive),
            out=sandbox.path(place),
            version_script=sandbox.path(script),
            deps=dependencies(sandbox, task.space.deps),
            earlier=tuple(sandbox.path(at.path if strip else at.unstripped) for at in earlier),
            level=level,
            debug=task.debug,
        )
        task.runner.run(sandbox, link.link(job, strip=strip))
        made[strip] = place / job.shared_name
    return LinkedLibrary(
        link_name=product.name, shared_name=made[True].name, path=made[True], unstripped=made[False], level=level
    )


def _exports(baseline: LinkedLibrary) -> list[str]:
    linkage = formats.read_file(baseline.path)
    names = sorted({symbol.name for symbol in linkage.exports}) if linkage else []
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


def link_anchor(task: Task, sandbox: Sandbox, libraries: tuple[LinkedLibrary, ...]) -> Path:
    """Make the anchor of the baseline's libraries."""
    source = task.space.out / "anchor.c"
    source.write_text(_ANCHOR_SOURCE, "utf-8")
    name = task.recipe.recipe.import_name
    command = link.anchor(
        name,
        task.epoch,
        [sandbox.path(library.path) for library in libraries],
        source=sandbox.path(source),
        out=sandbox.path(task.space.out),
    )
    task.runner.run(sandbox, command)
    return task.space.out / anchor_name(name, task.epoch, "elf")
