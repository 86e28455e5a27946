"""Take in what native runners report: a wheel that was built and tested there, or the tests of a wheel of the store.

Each REPORT is a JSON file that `scripts/native_trial.py` wrote, about one step. The step is planned again: its key
must be today's. A wheel comes with its report (beside it, or in --wheels) and enters the store as any other: it must be
what `farm repair --recipe` leaves, against the native wheels of the store, pass the audit, and be the very file that
was tested. Who built it is written down (`farm logs STEP`, `farm status --json`). A report without a wheel is about the
stored wheel, by its sha256.

If one report does not fit its step, none is taken. A wheel that the gates refuse keeps no other from being stored.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import running
from farm.cli.output import print_json, print_table
from farm.errors import AdmissionError, TestsFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farm.catalog import Catalog
    from farm.errors import FarmError
    from farm.model.artifact import Artifact
    from farm.model.native_report import NativeReport
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

EPILOG = """examples:
  farm admit reports/*.json                       wheels lie beside their reports
  farm admit gmpy2.json --wheels wheelhouse --json

docs/native-runners.md has the whole way. Exit code 13: a reported test failed; its wheel is stored all the same.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where the wheels are, if not beside their reports")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Check, store, write down. Raises AdmissionError, GateError, UsageError."""
    from farm import admission, catalog
    from farm.store import home
    from farm.store.artifacts import open_store
    from farm.store.ledger import Ledger

    loaded = catalog.load(settings)
    found = {file: admission.read_report(file) for file in args.reports}
    plan = _plan(tuple(found.values()), loaded)
    home.prepare(settings.home)
    store = open_store(settings, stand_ins=not any(report.built for report in found.values()))
    wheels = _checked(found, args.wheels, plan, store)
    reports = {report.step: report for report in found.values()}
    stored, refused = _stored(plan, reports, wheels, loaded, store, settings)
    taken = {id_: report for id_, report in reports.items() if id_ in stored}
    with Ledger.open(settings.ledger) as ledger:
        steps = {id_: step for id_, step in plan.by_id().items() if id_ in taken}
        ledger.record_plan(steps.values())
        built = (artifact for id_, artifact in stored.items() if artifact.key == reports[id_].key)
        ledger.record_artifacts(built)  # what stands in for a build was not built
        for report in taken.values():
            _write_down(report, steps[report.step], stored[report.step], ledger)
    _report(args, taken, stored)
    if refused is not None:
        raise refused
    failed = any(verdict.outcome == "failed" for report in taken.values() for verdict in report.verdicts)
    return TestsFailedError.exit_code if failed else 0


def _plan(reports: tuple[NativeReport, ...], catalog: Catalog) -> Plan:
    """The plan of all that the reports are about. Raises AdmissionError for a step that no plan can have."""
    from farm.cli import wanted

    ids = [report.step.split("/") for report in reports]
    if odd := next((report.step for report, parts in zip(reports, ids, strict=True) if len(parts) not in (2, 3)), None):
        raise AdmissionError(f"{odd!r} is no step", fix="name it as `farm plan` does: gmpy2@2.3.2/win_amd64/cp313")
    return wanted.make_plan(
        catalog,
        recipes=sorted({parts[0] for parts in ids}),
        platforms=sorted({parts[1] for parts in ids}),
        pythons=sorted({parts[2] for parts in ids if len(parts) == 3}),
    )


def _checked(found: Mapping[Path, NativeReport], folder: Path | None, plan: Plan, store: Store) -> dict[str, Path]:
    """The wheels that come with reports, by step, after a look at everything that can be seen without opening them."""
    from farm import admission

    wheels: dict[str, Path] = {}
    seen: set[str] = set()
    for file, report in found.items():
        step = admission.planned(report, plan)
        if step.id in seen:
            raise AdmissionError(f"is a second report of {step.id}", where=str(file), fix="give one of them")
        seen.add(step.id)
        artifact = store.get(step.key)
        if artifact is not None:
            admission.about(report, artifact)
        elif not report.built:
            raise AdmissionError(
                "is about a wheel that the store has not", where=step.id, fix=f"farm build {step.recipe}"
            )
        else:
            running.stored_deps(plan, step, store)
            wheels[step.id] = (folder or file.parent) / report.wheel
            if not wheels[step.id].is_file():
                raise UsageError(
                    f"there is no file {wheels[step.id]}", where=str(file), fix="name its place with --wheels"
                )
    return wheels


def _stored(
    plan: Plan,
    reports: Mapping[str, NativeReport],
    wheels: Mapping[str, Path],
    catalog: Catalog,
    store: Store,
    settings: Settings,
) -> tuple[dict[str, Artifact], FarmError | None]:
    """Bring the wheels into the store: the artifacts there are by step, and why the first of the others was refused."""
    from farm.admission import Admission
    from farm.model.plan import Plan as Steps
    from farm.pipeline import Pipeline
    from farm.store.ledger import Ledger
    from farm.workers.local import run_plan

    by_id = plan.by_id()
    here = {id_: store.get(by_id[id_].key) for id_ in reports if id_ not in wheels}
    found = {id_: artifact for id_, artifact in here.items() if artifact is not None}
    if not wheels:
        return found, None
    asked = {id_ for step in wheels for id_ in (step, *by_id[step].requires)}
    wanted = Steps(steps=tuple(step for step in plan.steps if step.id in asked))
    open_ledger = functools.cache(lambda: Ledger.open(settings.ledger))
    pipeline = Pipeline(catalog=catalog, store=store, settings=settings, findings=running.recorder(open_ledger))
    admission = Admission(pipeline=pipeline, reports=reports, wheels=wheels)
    result = run_plan(wanted, admission, store=store, ledger=open_ledger, jobs=1, logs=settings.logs)
    refused = next((o for o in result.outcomes.values() if o.artifact is None), None)
    error: FarmError | None = None
    if refused is not None:
        error = refused.error or AdmissionError(refused.message or "was not taken", where=refused.step)
    return found | {id_: artifact for id_, artifact in result.artifacts.items() if id_ in wheels}, error


def _write_down(report: NativeReport, step: Step, artifact: Artifact, ledger: Ledger) -> None:
    """Who built it, and what its tests came to. Saying it again changes nothing that is shown."""
    from farm.admission import PROVENANCE, about
    from farm.model.outcome import Outcome
    from farm.store.standing import judged

    about(report, artifact)
    if report.built:
        said = report.model_dump(mode="json")
        ledger.record_verdict(report.key, PROVENANCE, Outcome.PASSED, reason=f"built by {report.runner}", details=said)
    key = judged(step, artifact, ledger)
    for verdict in report.verdicts:
        details = {**verdict.counts, "runner": report.runner}
        ledger.record_verdict(key, verdict.suite, verdict.outcome, reason=verdict.reason, details=details)


def _report(args: argparse.Namespace, reports: Mapping[str, NativeReport], stored: Mapping[str, Artifact]) -> None:
    if args.json:
        print_json(
            [
                {
                    "step": id_,
                    "wheel": stored[id_].filename,
                    "sha256": stored[id_].sha256,
                    "runner": report.runner,
                    "built": report.built,
                    "verdicts": {v.suite: v.outcome.value for v in report.verdicts},
                }
                for id_, report in reports.items()
            ]
        )
        return
    rows = [
        [
            id_,
            "built and tested" if report.built else "tested",
            ", ".join(f"{v.suite} {v.outcome}" for v in report.verdicts) or "-",
            report.runner,
        ]
        for id_, report in reports.items()
    ]
    print_table(("step", "there", "tests", "by"), rows)
