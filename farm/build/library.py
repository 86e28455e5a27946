"""Build a library recipe: sources, one build per instruction-set level, the farm's own link."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from farm.build import finished, toolchain
from farm.build.commands import Runner
from farm.build.frame import Task, at_work, check_machine, prepare_sources, release_of, unpack_deps
from farm.build.linking import link_anchor, link_libraries
from farm.build.result import BuiltLibrary, LinkedLibrary
from farm.build.sandbox import Sandbox
from farm.build.systems import SYSTEMS, Command
from farm.build.toolchain import Tools
from farm.build.workspace import Rooms, Workspace
from farm.catalog.values import LoadedRecipe
from farm.model.plan import Step
from farm.model.recipe_product import Variant
from farm.model.toolchain import Toolchain
from farm.plan.effective import merged
from farm.process import Cancel
from farm.settings import Settings

__all__ = ["build_library", "release_of"]


def build_library(
    step: Step,
    recipe: LoadedRecipe,
    toolchain_: Toolchain,
    deps: Mapping[str, Path],
    settings: Settings,
    log: Path,
    report_phase: Callable[[str], None],
    cancel: Cancel | None = None,
    *,
    debug: bool = False,
) -> BuiltLibrary:
    """Build and link the libraries of a step.

    `deps` maps what the step requires to the native wheels it is built against. Output goes to the end of the file
    `log`. `debug` compiles with debug information (for ABI dumps), which is in the unstripped twins only, and without
    variants. The result's files live in a workspace until its `discard`; after an error the workspace stays for
    `farm shell`. What was built to the end before comes back as it is (farm.build.finished).

    Raises SourceError, MissingToolError, BuildError, or ProcessError when cancelled.
    """
    effective = merged(recipe.recipe, release_of(recipe, step), step.platform)
    check_machine(effective, settings)
    if kept := finished.again(step, settings, BuiltLibrary, report_phase, debug=debug):
        return kept
    report_phase("toolchain")
    system = [name for product in recipe.recipe.products.library for name in product.system]
    cxx = toolchain.wants_cxx(system, effective.tools)
    tools = toolchain.materialise(toolchain_, settings, cxx=cxx, cancel=cancel)
    with at_work(step, settings, log, report_phase, cancel, debug=debug) as (space, runner):
        built = _build(step, recipe, tools, deps, settings, space, runner, debug=debug)
        return finished.note(step, built, debug=debug)


def _build(
    step: Step,
    recipe: LoadedRecipe,
    tools: Tools,
    deps: Mapping[str, Path],
    settings: Settings,
    space: Workspace,
    runner: Runner,
    *,
    debug: bool,
) -> BuiltLibrary:
    release = release_of(recipe, step)
    effective = merged(recipe.recipe, release, step.platform)
    unpack_deps(deps, space.deps)
    prepared = prepare_sources(release, effective, recipe, settings, space, runner.report_phase)
    task = Task(
        step=step,
        recipe=recipe,
        effective=effective,
        tools=tools,
        space=space,
        settings=settings,
        runner=runner,
        epoch_seconds=prepared.epoch_seconds,
        debug=debug,
    )
    baseline = task.sandbox(space.baseline)
    _run_prepare(task, baseline)
    # A variant has just what its baseline exports: who measures an ABI needs the one.
    levels = [] if debug else [(v, space.variant(v.level)) for v in effective.variants]
    for _, rooms in levels:  # before the baseline is built: an in-tree build would be copied along
        rooms.create()
        shutil.copytree(space.baseline.source, rooms.source, symlinks=True, dirs_exist_ok=True)
    libraries = _one_level(task, space.baseline, baseline)
    variants = [
        library
        for variant, rooms in levels
        for library in _one_level(task, rooms, task.sandbox(rooms, variant), variant, libraries)
    ]
    return BuiltLibrary(
        step=step.id,
        import_name=recipe.recipe.import_name,
        prefix=space.baseline.prefix,
        source=space.baseline.source,
        libraries=libraries,
        variants=tuple(variants),
        anchor=link_anchor(task, baseline, libraries),
        epoch_seconds=prepared.epoch_seconds,
        workspace=space,
    )


def _run_prepare(task: Task, sandbox: Sandbox) -> None:
    job = task.job(sandbox)
    for argv in task.effective.build.prepare:
        task.runner.run(sandbox, Command(phase="prepare", argv=job.expand(argv), cwd=job.source))


def _one_level(
    task: Task,
    rooms: Rooms,
    sandbox: Sandbox,
    variant: Variant | None = None,
    baseline: tuple[LinkedLibrary, ...] = (),
) -> tuple[LinkedLibrary, ...]:
    job = task.job(sandbox, variant)
    level = variant.level if variant else ""
    for command in SYSTEMS[job.build.system].commands(job):
        phase = f"{command.phase} {level}".rstrip()
        task.runner.run(sandbox, Command(phase=phase, argv=command.argv, cwd=command.cwd, env=command.env))
    for stale in rooms.prefix.rglob("*.la"):  # libtool's notes hold paths of this build and mislead dependents
        stale.unlink()
    return link_libraries(task, rooms, sandbox, level, baseline)
