"""Build a dependent recipe: sources, the backend's Python packages, one sandboxed PEP 517 build against native wheels.

The result is a *raw* wheel, as the backend leaves it. What makes it a wheel of the farm is the same `repair` that any
wheel from elsewhere goes through.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path

from farm.build import environment as env
from farm.build import finished, pyenv, pysdk, pysdk_interpreter, toolchain
from farm.build.commands import Runner
from farm.build.frame import (
    at_work,
    check_machine,
    make_job,
    prepare_sources,
    program_names,
    release_of,
    unpack_deps,
)
from farm.build.pysdk import PythonSdk
from farm.build.result import BuiltWheel
from farm.build.sandbox import Mount, Sandbox
from farm.build.systems import pep517
from farm.build.systems.base import Command, Job
from farm.build.systems.pep517 import PythonJob
from farm.build.toolchain import Tools
from farm.build.workspace import Workspace
from farm.catalog.values import LoadedRecipe
from farm.errors import BuildError, CatalogError
from farm.model import toml
from farm.model.plan import Step
from farm.model.toolchain import Toolchain
from farm.plan.effective import Effective, merged
from farm.process import Cancel
from farm.settings import Settings

PYENV, PYTHON = "/farm/pyenv", "/farm/python"
_HOOK = "pep517_hook.py"


def build_dependent(
    step: Step,
    recipe: LoadedRecipe,
    toolchain_: Toolchain,
    deps: Mapping[str, Path],
    settings: Settings,
    sdk: PythonSdk,
    log: Path,
    report_phase: Callable[[str], None],
    cancel: Cancel | None = None,
) -> BuiltWheel:
    """Build the raw wheel of a step against native wheels (`deps`: step id -> wheel) for the Python of `sdk`.

    Output goes to the end of the file `log`. Raises SourceError, MissingToolError, BuildError, or ProcessError when
    cancelled; the workspace then stays for `farm shell`. A wheel that was built before is what comes back
    (farm.build.finished).
    """
    effective = merged(recipe.recipe, release_of(recipe, step), step.platform)
    check_machine(effective, settings)
    if kept := finished.again(step, settings, BuiltWheel, report_phase):
        return kept
    report_phase("toolchain")
    cxx = toolchain.wants_cxx((), effective.tools)
    tools = toolchain.materialise(toolchain_, settings, cxx=cxx, cancel=cancel)
    wheels = _python_packages(recipe, sdk, settings, report_phase, cancel)
    with at_work(step, settings, log, report_phase, cancel) as (space, runner):
        return finished.note(step, _build(step, recipe, tools, deps, settings, sdk, wheels, space, runner))


def _python_packages(
    recipe: LoadedRecipe,
    sdk: PythonSdk,
    settings: Settings,
    report_phase: Callable[[str], None],
    cancel: Cancel | None,
) -> tuple[Path, ...]:
    lock = recipe.recipe.requires.python
    if lock is None:
        raise CatalogError(
            [f"recipes/{recipe.recipe.name}/recipe.toml: [requires] python: is missing"],
            fix="name a requirements file with hashes that holds the build backend and all it needs",
        )
    report_phase("fetch")
    return pyenv.fetch(recipe.directory / lock, sdk, settings, cancel=cancel)


def _build(
    step: Step,
    recipe: LoadedRecipe,
    tools: Tools,
    deps: Mapping[str, Path],
    settings: Settings,
    sdk: PythonSdk,
    wheels: tuple[Path, ...],
    space: Workspace,
    runner: Runner,
) -> BuiltWheel:
    release = release_of(recipe, step)
    effective = merged(recipe.recipe, release, step.platform)
    unpack_deps(deps, space.deps)
    source = space.baseline.source
    prepared = prepare_sources(release, effective, recipe, settings, space, runner.report_phase)
    sandbox, job = _sandbox(effective, tools, settings, sdk, wheels, space, prepared.epoch_seconds)
    for argv in effective.build.prepare:
        runner.run(sandbox, Command(phase="prepare", argv=job.job.expand(argv), cwd=job.job.source))
    for command in pep517.commands(job):
        runner.run(sandbox, command)
    found = sorted(space.out.glob("*.whl"))
    if len(found) != 1:
        raise BuildError(
            f"the backend left {len(found)} wheels, not one",
            where=step.id,
            fix=f"correct [build] directory and args in the recipe; look around: farm shell {step.id}",
            log=str(runner.log_path),
        )
    return BuiltWheel(
        step=step.id, wheel=found[0], source=source, epoch_seconds=prepared.epoch_seconds, workspace=space
    )


def _sandbox(
    effective: Effective,
    tools: Tools,
    settings: Settings,
    sdk: PythonSdk,
    wheels: tuple[Path, ...],
    space: Workspace,
    epoch_seconds: int,
) -> tuple[Sandbox, PythonJob]:
    """The sandbox with the Python, its SDK and the build's packages, and the job as it is seen in there."""
    packages = space.root / "pyenv"
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir(parents=True)
    extra = (
        Mount(source=packages, inside=PYENV),
        Mount(source=sdk.root, inside=pysdk.INSIDE),
        *_python_mount(sdk),
    )
    walls = env.make_sandbox(
        space,
        space.baseline,
        tools,
        programs=program_names(effective),
        epoch_seconds=epoch_seconds,
        enabled=settings.sandbox,
        extra=extra,
    )
    _lay_out(packages, wheels, sdk, walls)
    job = _python_job(make_job(effective, space, tools, walls, settings), space, walls, sdk)
    variables = pep517.environment(job, sdk=walls.place(pysdk.INSIDE), sysconfig_name=pysdk.SYSCONFIG_NAME)
    path = walls.environment["PATH"].split(":")
    variables["PATH"] = ":".join((path[0], f"{walls.place(PYENV)}/bin", *path[1:]))
    if sdk.pinned is None and any(sdk.base.glob("lib/libpython*.so*")) and _python_mount(sdk):
        variables["LD_LIBRARY_PATH"] = walls.path(sdk.base / "lib")
    sandbox = Sandbox(
        mounts=walls.mounts, enabled=walls.enabled, environment={**walls.environment, **variables}, network=False
    )
    _write_helpers(space, job, sandbox)
    return sandbox, job


def _lay_out(packages: Path, wheels: tuple[Path, ...], sdk: PythonSdk, walls: Sandbox) -> None:
    """The build's virtual environment. A pinned interpreter is copied into it and told where its sysroot is."""
    lay_out = partial(
        pyenv.lay_out,
        packages,
        wheels,
        seen_as=walls.place(PYENV),
        short=sdk.short,
        paths=(walls.place(f"{pysdk.INSIDE}/sysconfig"),),
    )
    if sdk.pinned is None:
        lay_out(python=walls.path(sdk.interpreter) if _python_mount(sdk) else str(sdk.interpreter))
        return
    seen_as = walls.place(PYTHON)
    put = partial(pysdk_interpreter.adapt, sdk.pinned, sdk.base, seen_as=seen_as)
    lay_out(python=f"{seen_as}/{pysdk_interpreter.program(sdk.pinned)}", put=put)


def _python_mount(sdk: PythonSdk) -> tuple[Mount, ...]:
    """Builds see /usr as it is; a Python from anywhere else is shown at a fixed place."""
    return () if sdk.base == Path("/usr") else (Mount(source=sdk.base, inside=PYTHON),)


def _python_job(job: Job, space: Workspace, walls: Sandbox, sdk: PythonSdk) -> PythonJob:
    return PythonJob(
        job=job,
        python=f"{walls.place(PYENV)}/bin/python",
        hook=f"{job.work}/{_HOOK}",
        backend=_backend(space.baseline.source / job.build.directory),
        include=walls.path(sdk.include),
        out=walls.place(env.OUT),
        soabi=sdk.soabi,
        library="python3" if job.build.abi3 else sdk.library,
        version=sdk.version,
    )


def _backend(project: Path) -> str:
    file = project / "pyproject.toml"
    try:
        return pep517.backend_of(toml.loads(file.read_text("utf-8")) if file.is_file() else {})
    except (toml.TomlError, UnicodeDecodeError) as error:
        raise BuildError(
            f"its pyproject.toml cannot be read: {error}",
            where=str(file),
            fix="patch it in the recipe, or report it to the project",
        ) from error


def _write_helpers(space: Workspace, job: PythonJob, sandbox: Sandbox) -> None:
    work = space.baseline.work
    hook = resources.files("farm.build.systems").joinpath(_HOOK).read_text("utf-8")
    (work / _HOOK).write_text(hook, "utf-8")
    programs = f"{sandbox.place(PYENV)}/bin"
    (work / pep517.MESON_CROSS).write_text(pep517.meson_cross(job.python, programs), "utf-8")
    sdk = sandbox.place(pysdk.INSIDE)
    (work / pep517.PYTHON_DETAILS).write_text(pep517.details(job, sdk=sdk), "utf-8")
    cmake = pep517.cmake_toolchain(job, sdk=sdk)
    (work / pep517.CMAKE_TOOLCHAIN).write_text(cmake, "utf-8")
    (work / pep517.CMAKE_PROVIDER).write_text(pep517.cmake_provider(job), "utf-8")
