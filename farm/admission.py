"""Wheels and verdicts of native runners: checked like the farm's own, then stored and written down like them.

A native runner (Windows, macOS, another processor) builds a dependent with that system's own tools, or only tests what
was built elsewhere, and reports. Nothing of a report is believed that can be looked at here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import ValidationError

from farm.build.frame import release_of
from farm.errors import AdmissionError
from farm.model.artifact import Artifact
from farm.model.native_report import NativeReport
from farm.model.plan import Plan, Step
from farm.pipeline import Pipeline
from farm.process import Cancel
from farm.repair import natives
from farm.repair.options import of_recipe
from farm.repair.repair import RepairResult, repair
from farm.store.files import file_sha256, make_dirs, write_atomic
from farm.store.home import log_of, work_dir
from farm.wheel import metadata, record
from farm.wheel.archive import WheelArchive
from farm.wheel.names import parse

PROVENANCE = "provenance"
"""Kind of the verdict that says who built a wheel that this farm did not build."""


def read_report(file: Path) -> NativeReport:
    """A report from a file. Raises AdmissionError that names the first wrong key."""
    try:
        return NativeReport.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "document"
        raise AdmissionError(
            f"{key}: {first['msg']} ({error.error_count()} faults)",
            where=str(file),
            fix="let scripts/native_trial.py of this farm write it",
        ) from error
    except OSError as error:
        raise AdmissionError(f"cannot be read: {error.strerror}", where=str(file), fix="check the path") from error


def planned(report: NativeReport, plan: Plan) -> Step:
    """The step that a report is about. Raises AdmissionError if the plan has no such step, or another key for it."""
    step = plan.by_id().get(report.step)
    if step is None:
        raise AdmissionError(f"the plan has no step {report.step}", fix="report a step as `farm plan` names it")
    if report.built and step.kind == "library":
        raise AdmissionError(
            "native wheels are built by the farm itself, for every platform",
            where=report.step,
            fix="`farm build` it, and let the native runner test that",
        )
    if step.key != report.key:
        raise AdmissionError(
            f"was made for key {report.key[:12]}, and today's key is {step.key[:12]}",
            where=report.step,
            fix="a recipe, a toolchain or the farm changed since: let the native runner do it again",
        )
    return step


def about(report: NativeReport, artifact: Artifact) -> None:
    """Raise AdmissionError if the stored wheel of a report's key is not the one that the report is about."""
    if artifact.sha256 != report.sha256:
        raise AdmissionError(
            f"is about {report.wheel} with sha256 {report.sha256[:12]}, and the store has {artifact.filename} with "
            f"{artifact.sha256[:12]}: a key means one wheel",
            where=report.step,
            fix="let the native runner test the stored wheel",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Takes wheels of native runners in place of building: called as `Pipeline` is (farm.workers).

    `reports` and `wheels` are by step id. Raises AdmissionError for what does not match, GateError for what the gates
    refuse, BinaryFormatError for a damaged wheel; nothing is stored then.
    """

    pipeline: Pipeline
    reports: Mapping[str, NativeReport]
    wheels: Mapping[str, Path]

    def __call__(
        self, step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report_phase: Callable[[str], None], /
    ) -> Artifact:
        del cancel  # no program is run
        report, settings = self.reports[step.id], self.pipeline.settings
        natives_ = {id_: self.pipeline.store.path(artifact) for id_, artifact in deps.items()}
        report_phase("check")
        make_dirs(settings.logs)
        write_atomic(log_of(settings.logs, step.key), f"{report.model_dump_json(indent=2)}\n".encode())
        with work_dir(settings.work, "admit") as scratch:
            wheel = self._taken(step, report, scratch)
            report_phase("repair")
            result = self._repaired(step, wheel, tuple(natives_.values()), scratch / "repaired")
            artifact = self.pipeline.admit(step, wheel, natives_, {}, report_phase, result.findings)
        about(report, artifact)
        return artifact

    def _taken(self, step: Step, report: NativeReport, scratch: Path) -> Path:
        """A copy that nobody else writes to, and that is what the report and the step say."""
        source = self.wheels[step.id]
        name = parse(report.wheel)
        wheel = scratch / name.filename
        shutil.copyfile(source, wheel)
        if file_sha256(wheel) != report.sha256:
            raise AdmissionError(f"{source} is not the file that was tested: its sha256 is another", where=step.id)
        recipe = self.pipeline.catalog.recipes[step.recipe].recipe
        python = step.python or ""
        wanted = (canonicalize_name(recipe.distribution), Version(step.version), python, step.platform)
        found = (name.project, name.parsed_version, name.python, name.platform)
        if found != wanted or name.abi != ("abi3" if recipe.build.abi3 else python):
            raise AdmissionError(
                f"{name.filename} is not the wheel of this step",
                where=step.id,
                fix=f"repair it with --recipe {step.recipe} --platform {step.platform}, and build it for {python}",
            )
        record.verify(wheel)
        with WheelArchive.open(wheel) as archive:
            metadata.check_requirements(archive.read(archive.dist_info_file("METADATA")), name.filename)
        return wheel

    def _repaired(self, step: Step, wheel: Path, against: tuple[Path, ...], out: Path) -> RepairResult:
        """What a repair with the recipe's options finds to do: nothing, or the wheel is not what was tested."""
        loaded, toolchain = self.pipeline.catalog.recipes[step.recipe], self.pipeline.catalog.toolchains[step.platform]
        options = of_recipe(loaded.recipe, release_of(loaded, step), platform=toolchain.platform)
        result = repair(wheel, out, natives.load(against), options)
        if result.changed:
            raise AdmissionError(
                f"{wheel.name} is not as `farm repair --recipe {step.recipe}` leaves it against the native wheels of "
                "this farm, so what was tested is not what would be stored",
                where=step.id,
                fix=f'repair-wheel-command = "farm repair {{wheel}} -w {{dest_dir}} --recipe {step.recipe} '
                f'--platform {step.platform}", with the native wheels of the same plan installed',
            )
        return result
