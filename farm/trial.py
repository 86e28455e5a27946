"""One test of one stored wheel on its platform's runner: the smoke program, or upstream's own suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm import runners
from farm.build import pysdk, sources, testpython, toolchain
from farm.build.frame import release_of
from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import StoreError
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.model.recipe_source import Release
from farm.model.toolchain import Toolchain
from farm.plan.effective import merged
from farm.plan.requirements import python_version
from farm.process import Cancel, says_full
from farm.runners import Install, ProgramTest, PythonTest, Runner, SmokeResult, SuiteTest, mapped
from farm.runners.counts import difference
from farm.settings import Settings
from farm.store.home import work_dir
from farm.store.room import room_watched

SUITES = ("smoke", "upstream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a test needs: the step, its wheel, the wheels it was built against (by step id), the farm's index.

    `beside` are wheels that are installed with it, whatever the index offers: the native wheels to test it with.
    """

    step: Step
    wheel: Path
    deps: Mapping[str, Path]
    index_url: str
    catalog: Catalog
    settings: Settings
    beside: tuple[Path, ...] = ()

    @property
    def loaded(self) -> LoadedRecipe:
        """The step's recipe, with its directory."""
        return self.catalog.recipes[self.step.recipe]

    @property
    def toolchain(self) -> Toolchain:
        """The step's toolchain."""
        return self.catalog.toolchains[self.step.platform]

    @property
    def release(self) -> Release:
        """The release that was built."""
        return release_of(self.loaded, self.step)

    @property
    def interpreter(self) -> Path:
        """The Python of this machine that runs the tests, where the platform is the machine's own."""
        if not runners.takes_own_python(self.toolchain):
            return Path()
        return pysdk.interpreter(self.step.python or "", self.catalog, self.settings)

    @property
    def python_version(self) -> str:
        """``3.13`` of the step's ``cp313``."""
        return python_version(self.step.python) if self.step.python else ""

    @property
    def runner(self) -> Runner:
        """What runs programs of the step's platform. Raises MissingToolError."""
        return runners.get(
            self.toolchain,
            sysroots=self.catalog.sysroots,
            settings=self.settings,
            maker=testpython.maker(self.catalog, self.settings),
        )

    def install(self, requires: Sequence[str] = ()) -> Install:
        """The wheel to test with what is installed beside it."""
        return Install(wheels=(self.wheel, *self.beside), index_url=self.index_url, requires=tuple(requires))


def run(trial: Trial, suite: str, *, compare: bool = False, cancel: Cancel | None = None) -> SmokeResult:
    """Run one suite of `SUITES`. `compare` runs upstream's suite against the wheel of the configured index, too, and
    fails if a test ends differently. Raises StoreError if the disk was full: that says nothing about the wheel."""
    with work_dir(trial.settings.work, "trial") as folder, room_watched(folder) as was_full:
        if suite == "upstream":
            result = _upstream(trial, folder, compare, cancel)
        else:
            make = {"library": _smoke_library, "dependent": _smoke_dependent}[trial.step.kind]
            result = make(trial, folder, cancel)
        full = says_full(f"{result.reason}\n{result.output}") or was_full()
    if result.outcome is Outcome.FAILED and full:
        raise StoreError(
            "no space was left on the device during the test",
            where=trial.step.id,
            fix="free some space (`farm gc` removes what no live generation needs) and test again",
        )
    return result


def _none(what: str) -> SmokeResult:
    return SmokeResult(outcome=Outcome.NOT_RUN, reason=f"the recipe has no {what}")


def _smoke_library(trial: Trial, work: Path, cancel: Cancel | None) -> SmokeResult:
    """Compile the smoke program as a user would, link it to the wheels, run it, check its numbers."""
    smoke = trial.loaded.recipe.tests.smoke
    if smoke is None:
        return _none("smoke program")
    tools = toolchain.materialise(trial.toolchain, trial.settings, cancel=cancel)
    compiler, environment = toolchain.user_compiler(tools, work, trial.loaded.directory)
    test = ProgramTest(
        source=trial.loaded.directory.resolve() / smoke,
        natives=(trial.wheel, *trial.deps.values()),
        compiler=compiler,
        environment=environment,
    )
    return trial.runner.run_program(test, work, cancel=cancel)


def _smoke_dependent(trial: Trial, work: Path, cancel: Cancel | None) -> SmokeResult:
    """Install from the farm's index alone, import, compute; each library must be in the process once."""
    recipe = trial.loaded.recipe
    if recipe.tests.smoke is None and not recipe.products.imports:
        return _none("smoke test")
    test = PythonTest(
        install=trial.install(),
        python=trial.interpreter,
        version=trial.python_version,
        imports=recipe.products.imports,
        script=trial.loaded.directory / recipe.tests.smoke if recipe.tests.smoke else None,
    )
    result = trial.runner.run_python(test, work, cancel=cancel)
    twice = mapped.duplicates(result.mapped, _link_names(trial))
    if result.passed and twice:
        listed = "; ".join(f"{name}: {', '.join(paths)}" for name, paths in twice.items())
        return replace(result, outcome=Outcome.FAILED, reason=f"mapped more than once: {listed}")
    return result


def _link_names(trial: Trial) -> list[str]:
    names = {id_.partition("@")[0] for id_ in trial.deps}
    return sorted(p.name for name in names for p in trial.catalog.recipes[name].recipe.products.library)


def _upstream(trial: Trial, work: Path, compare: bool, cancel: Cancel | None) -> SmokeResult:
    suite = trial.loaded.recipe.tests.upstream
    if suite is None:
        return _none("upstream suite")
    runner = trial.runner
    patches = merged(trial.loaded.recipe, trial.release, trial.step.platform).patches
    places = trial.settings
    prepared = sources.prepare(
        trial.release, patches, trial.loaded.directory, places.downloads, places.sources, work / "source"
    )
    test = SuiteTest(
        install=trial.install(suite.requires),
        python=trial.interpreter,
        version=trial.python_version,
        source=prepared.tree,
        command=suite.command,
        copy_paths=suite.copy_paths,
    )
    ours = runner.run_suite(test, work, cancel=cancel)
    if not compare or ours.outcome is Outcome.NOT_RUN:
        return ours
    peer = Install(requires=(f"{trial.loaded.recipe.distribution}=={trial.step.version}", *suite.requires))
    return compared(ours, runner.run_suite(replace(test, install=peer), work, cancel=cancel))


def compared(ours: SmokeResult, theirs: SmokeResult) -> SmokeResult:
    """Our result, judged by the one of the same suite against the wheel from the configured index."""
    if theirs.outcome is Outcome.NOT_RUN:
        return replace(ours, reason=f"nothing to compare with: {theirs.reason}")
    if ours.counts is None or theirs.counts is None:
        same = ours.outcome is theirs.outcome
        unlike = "" if same else f"{ours.outcome} here, {theirs.outcome} with the other wheel"
    else:
        unlike = difference(ours.counts, theirs.counts)
    outcome = Outcome.FAILED if unlike else Outcome.PASSED
    return replace(ours, outcome=outcome, reason=unlike or "every test ends as with the other wheel")
