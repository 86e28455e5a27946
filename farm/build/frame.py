"""What every build of a step stands in: its sources, its packages, its sandbox, its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from farm.build import environment as env
from farm.build import sources, workspace
from farm.build import tools as machine_tools
from farm.build.commands import Runner
from farm.build.sandbox import Sandbox, require_bwrap
from farm.build.sources import Prepared
from farm.build.systems.base import Job, flag_environment
from farm.build.toolchain import Tools
from farm.build.workspace import Rooms, Workspace
from farm.catalog.values import LoadedRecipe
from farm.errors import PlanError
from farm.fetch import download
from farm.model.plan import Step
from farm.model.recipe_product import Variant
from farm.model.recipe_source import Release
from farm.plan.effective import Effective
from farm.plan.epochs import epoch_of
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.wheel.archive import WheelArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all builds of a step share."""

    step: Step
    recipe: LoadedRecipe
    effective: Effective
    tools: Tools
    space: Workspace
    settings: Settings
    runner: Runner
    epoch_seconds: int
    debug: bool

    @property
    def epoch(self) -> int:
        """The release's ABI epoch. Raises CatalogError for a recipe without one."""
        return epoch_of(self.recipe.recipe, self.step.version)

    def sandbox(self, rooms: Rooms, variant: Variant | None = None) -> Sandbox:
        """The walls around one level's build."""
        return build_sandbox(
            self.effective, self.space, rooms, self.tools, self.epoch_seconds, self.settings, variant, debug=self.debug
        )

    def job(self, sandbox: Sandbox, variant: Variant | None = None) -> Job:
        """What the build system is told inside these walls."""
        return make_job(self.effective, self.space, self.tools, sandbox, self.settings, variant)


def release_of(recipe: LoadedRecipe, step: Step) -> Release:
    """The release a step builds. Raises PlanError if the recipe has none of that version."""
    for release in recipe.recipe.release:
        if release.version == step.version:
            return release
    raise PlanError(f"the recipe {step.recipe} has no release {step.version}", where=step.id, fix="make the plan again")


def unpack_deps(deps: Mapping[str, Path], site: Path) -> None:
    """Unpack native wheels side by side into a site directory.

    Raises BinaryFormatError for a damaged or hostile wheel, PlanError for two wheels of one package.
    """
    for wheel in dict.fromkeys(deps.values()):
        with WheelArchive.open(wheel) as archive:
            for top in sorted({member.partition("/")[0] for member in archive.members}):
                if (site / top).exists():
                    raise PlanError(
                        f"{top} comes from two of the step's wheels", where=str(wheel), fix="make the plan again"
                    )
            archive.extract(site)


def check_machine(effective: Effective, settings: Settings) -> None:
    """Say what this machine lacks before anything is fetched. Raises MissingToolError, UsageError."""
    if settings.sandbox:
        require_bwrap()
    machine_tools.programs(program_names(effective))


@contextmanager
def at_work(
    step: Step,
    settings: Settings,
    log: Path,
    report_phase: Callable[[str], None],
    cancel: Cancel | None,
    *,
    debug: bool = False,
) -> Iterator[tuple[Workspace, Runner]]:
    """The step's workspace, claimed and empty, and what runs commands in it with their output at the end of `log`. That
    of a build for debugging is another one.

    The workspace stays claimed after success: the result is in it. After an error it is given back with its files,
    for `farm shell`. Another process that builds or measures this step is waited for. Raises BusyError if a shell is
    open in its workspace.
    """
    name = workspace.name_of(step.id, debug=debug)
    space = workspace.claim_in_turn(settings, name, lambda: report_phase("wait for another process"), cancel)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            yield (
                space,
                Runner(step=name, log=stream, log_path=log, root=space.root, report_phase=report_phase, cancel=cancel),
            )
    except BaseException:
        space.release()
        raise


def program_names(effective: Effective) -> tuple[str, ...]:
    """The tools of a build beyond the basic set, by the names recipes write."""
    return (*machine_tools.BY_SYSTEM.get(effective.build.system, ()), *effective.tools)


def prepare_sources(
    release: Release,
    effective: Effective,
    recipe: LoadedRecipe,
    settings: Settings,
    space: Workspace,
    report_phase: Callable[[str], None],
) -> Prepared:
    """Fetch, unpack and patch a release into the baseline's source tree. Raises SourceError."""
    report_phase("fetch")
    return sources.prepare(
        release,
        effective.patches,
        recipe.directory,
        settings.downloads,
        settings.sources,
        space.baseline.source,
        progress=_by_quarters(report_phase),
    )


def _by_quarters(report_phase: Callable[[str], None]) -> download.Progress:
    """Download progress as phases: few enough for a log, enough to see that it moves."""
    told: dict[str, int] = {}

    def report(name: str, have: int, total: int | None) -> None:
        quarter = 4 * have // total if total else 0
        if told.get(name, -1) < quarter < 4:
            told[name] = quarter
            report_phase(f"fetch {name}" + (f" {25 * quarter} %" if total else ""))

    return report


def build_sandbox(
    effective: Effective,
    space: Workspace,
    rooms: Rooms,
    tools: Tools,
    epoch_seconds: int,
    settings: Settings,
    variant: Variant | None = None,
    *,
    debug: bool = False,
) -> Sandbox:
    """The sandbox of one build, with the recipe's flags and environment in it; a variable that the recipe sets to an
    empty string is not set at all. Raises MissingToolError."""
    build = effective.build
    sandbox = env.make_sandbox(
        space,
        rooms,
        tools,
        programs=program_names(effective),
        epoch_seconds=epoch_seconds,
        enabled=settings.sandbox,
    )
    job = make_job(effective, space, tools, sandbox, settings, variant)
    given = sandbox.environment
    own = {name: job.expand_one(value) for name, value in build.env.items()}
    flags = {
        **flag_environment(job),
        # The wrapper puts these after all that the project says: a variant's level must hold whatever its configure
        # thinks of it.
        "FARM_CFLAGS": _lines(
            given.get("FARM_CFLAGS", ""),
            *job.expand(build.cflags),
            *(["-g2"] if debug else []),
            *(variant.cflags if variant else ()),
        ),
        "FARM_LDFLAGS": _lines(*job.expand(build.ldflags)),
    }
    wanted = {**given, **flags, **own}
    return replace(sandbox, environment={name: value for name, value in wanted.items() if value or name not in own})


def _lines(*words: str) -> str:
    return "\n".join(word for word in words if word)


def make_job(
    effective: Effective,
    space: Workspace,
    tools: Tools,
    sandbox: Sandbox,
    settings: Settings,
    variant: Variant | None = None,
) -> Job:
    """One build as build systems see it."""
    build = effective.build
    if variant is not None:
        build = build.model_copy(update={"args": (*build.args, *variant.args)})
    source = sandbox.place(env.SOURCE)
    return Job(
        build=build,
        toolchain=tools.toolchain,
        build_triple=f"{build_machine()}-pc-linux-gnu",
        source=source if build.directory == "." else f"{source}/{build.directory}",
        work=sandbox.place(env.WORK),
        prefix=sandbox.place(env.PREFIX),
        deps=sandbox.place(env.DEPS),
        toolchain_dir=sandbox.place(env.TOOLCHAIN),
        packages=tuple(sandbox.path(p) for p in env.packages(space.deps)),
        jobs=settings.cores,
        symbols=tuple(sandbox.path(header) for header in env.symbols_headers(space.deps)),
    )
