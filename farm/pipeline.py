"""One step from plan to stored wheel; it alone knows the order of rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm import measure, unpinned
from farm.abi import baseline
from farm.abi.baseline import Accepted
from farm.abi.introduced import introduced
from farm.build import pysdk
from farm.build.dependent import build_dependent
from farm.build.library import build_library, release_of
from farm.build.staging import native_spec
from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import GateError
from farm.gates import abi
from farm.gates.audit import audit_wheel
from farm.gates.policy import policy_for
from farm.model.artifact import Artifact
from farm.model.finding import Finding, Severity
from farm.model.plan import Step
from farm.model.toolchain import Toolchain
from farm.plan.epochs import older_in_epoch
from farm.process import Cancel
from farm.repair import natives
from farm.repair.options import of_recipe
from farm.repair.repair import repair
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.home import log_of, work_dir
from farm.wheel.native import stage_native
from farm.wheel.pack import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Builds steps: call it with a step, the artifacts of what it requires, a cancel token and a phase reporter.

    `findings` takes what the gates found. Raises a FarmError that says which room refused; nothing is stored then.
    """

    catalog: Catalog
    store: Store
    settings: Settings
    findings: Callable[[Step, tuple[Finding, ...]], None] = lambda _step, _findings: None

    def __call__(
        self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report_phase: Callable[[str], None], /
    ) -> Artifact:
        wheels = {id_: self.store.path(artifact) for id_, artifact in deps.items()}
        make = _MAKERS[step.kind]
        with work_dir(self.settings.work, "pack") as out:
            return make(self, step, wheels, out, cancel, report_phase)

    def _library(
        self, step: Step, deps: Mapping[str, Path], out: Path, cancel: Cancel, report_phase: Callable[[str], None]
    ) -> Artifact:
        recipe, toolchain = self._inputs(step)
        log = self._log(step)
        pinned = baseline.load(recipe.directory, recipe.internal)
        findings = self._types(step, pinned, deps, cancel, report_phase)
        if any(finding.severity is Severity.ERROR for finding in findings):
            report_phase("audit")
            self._judge(step, findings)  # before the build that would be refused anyway
        with build_library(step, recipe, toolchain, deps, self.settings, log, report_phase, cancel) as built:
            found = measure.exports(step, built, recipe.recipe)
            held_to = pinned.held_to(found)
            findings += abi.judge(held_to, found) if held_to else unpinned.judge(step, found, self.catalog, self.store)
            report_phase("pack")
            brought = introduced(pinned, older_in_epoch(recipe.recipe, step.version), found)
            staged = stage_native(native_spec(step, recipe, toolchain, built, deps, brought), out / "tree")
            wheel = pack(staged.tree, staged.filename, out, epoch_seconds=built.epoch_seconds)
            return self.admit(step, wheel, deps, built.twins, report_phase, findings)

    def _types(
        self,
        step: Step,
        pinned: Accepted,
        deps: Mapping[str, Path],
        cancel: Cancel,
        report_phase: Callable[[str], None],
    ) -> tuple[Finding, ...]:
        """What a new release does to the pinned types, on the platform that they were pinned on: a build of its own."""
        held_to = pinned.measured_on(step.version, step.platform)
        if held_to is None or held_to.release == step.version:
            return ()
        found = measure.measured(step, self.catalog, deps, self.settings, self._log(step), report_phase, cancel=cancel)
        return abi.judge(held_to, found)

    def _dependent(
        self, step: Step, deps: Mapping[str, Path], out: Path, cancel: Cancel, report_phase: Callable[[str], None]
    ) -> Artifact:
        recipe, toolchain = self._inputs(step)
        sdk = pysdk.sdk(step.python or "", toolchain, self.catalog, self.settings, cancel=cancel)
        log = self._log(step)
        with build_dependent(step, recipe, toolchain, deps, self.settings, sdk, log, report_phase, cancel) as built:
            report_phase("repair")
            known = natives.load(tuple(dict.fromkeys(deps.values())))
            options = of_recipe(
                recipe.recipe,
                release_of(recipe, step),
                platform=toolchain.platform,
                epoch_seconds=built.epoch_seconds,
            )
            repaired = repair(built.wheel, out, known, options)
            return self.admit(step, repaired.wheel, deps, {}, report_phase, repaired.findings)

    def admit(
        self,
        step: Step,
        wheel: Path,
        deps: Mapping[str, Path],
        twins: Mapping[str, Path],
        report_phase: Callable[[str], None],
        findings: tuple[Finding, ...] = (),
    ) -> Artifact:
        """Store what passes the gates. `deps` are native wheels, `twins` unstripped files by member."""
        report_phase("audit")
        recipe, toolchain = self._inputs(step)
        policy = policy_for(toolchain, recipe.recipe, natives=deps.values(), debug_symbols=twins)
        self._judge(step, (*findings, *audit_wheel(wheel, policy=policy)))
        return self.store.put(step.key, wheel)

    def _judge(self, step: Step, findings: tuple[Finding, ...]) -> None:
        """Write down what the gates found. Raises GateError if they refuse."""
        self.findings(step, findings)
        refuse(step, findings)

    def _inputs(self, step: Step) -> tuple[LoadedRecipe, Toolchain]:
        return self.catalog.recipes[step.recipe], self.catalog.toolchains[step.platform]

    def _log(self, step: Step) -> Path:
        return log_of(self.settings.logs, step.key)


_MAKERS = {"library": Pipeline._library, "dependent": Pipeline._dependent}  # noqa: SLF001 - this class's own


def refuse(step: Step, findings: tuple[Finding, ...]) -> None:
    """Raise GateError if any finding is an error, naming each with its fix."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        listed = "\n".join(f"  {f.file}: {f.fact} [{f.check}]\n    fix: {f.fix}" for f in errors)
        raise GateError(
            f"the gates refuse it, {'1 finding' if len(errors) == 1 else f'{len(errors)} findings'}:\n{listed}",
            where=step.id,
            fix="mend the recipe; what changes no input is judged again without a build; `farm shell` steps inside",
        )
