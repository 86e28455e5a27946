"""Take in what the jobs of the workflow `farm` built and tested, and offer it in the staging channel.

DIRECTORY holds `stores/*` (the stores of build jobs), `reports/*` and `built/*` (of native runners), as they were
downloaded. Each wheel is checked by its hash and put under its key like one that was built here; a key that is here
already keeps its wheel. Then the reports are admitted, and with them the wheels that native runners built. A failed
test of what the farm built, or anything that does not match, ends it: staging stays as it was.

What a native runner was to build (HANDOUTS, the `builds` of scripts/ci_jobs.py) and did not, what failed its tests
there, and what the farm's checks refuse of it, is left out alone, with what requires it; the rest is offered. Each is
told of, and the exit code is that of the first.

  python scripts/ci_publish.py taken
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from farm import catalog
from farm.admission import read_report
from farm.cascade.absent import Absent, held_back
from farm.cli import run as farm
from farm.errors import BinaryFormatError, BuildError, FarmError, GateError, StoreError, TestsFailedError
from farm.index.contents import STAGING, IndexFile
from farm.index.generations import Index
from farm.model import pypa
from farm.model.artifact import Artifact
from farm.model.native_report import NativeReport
from farm.model.outcome import Outcome
from farm.settings import load
from farm.store import home
from farm.store.artifacts import Store
from farm.wheel import metadata
from farm.wheel.archive import WheelArchive

REFUSED = {GateError.exit_code, BinaryFormatError.exit_code}  # what `farm admit` ends with if a wheel will not do
_SHOWN = 500
LeftOut = dict[str, tuple[int, str]]
"""Steps that native runners were to build, with the exit code and the reason for which they are left out."""


def main(argv: list[str]) -> int:
    """0 if staging offers all that was asked for; the exit code of what refused, or was left out first."""
    (directory,) = map(Path, argv)
    settings = load()
    home.prepare(settings.home)
    store = Store(settings.store)
    try:
        taken = take(sorted(directory.glob("stores/*")), store)
        files = sorted([*directory.glob("reports/**/*.json"), *directory.glob("built/**/*.json")])
        reports = {file: read_report(file) for file in files}
    except FarmError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    reports = {file: report for file, report in reports.items() if not _is_late(report, store)}
    tested = [file for file, report in reports.items() if not report.built]
    if tested and (code := farm(["admit", *map(str, tested)])):
        return code
    code, left_out = admit_built({file: report for file, report in reports.items() if report.built})
    if code:
        return code
    left_out |= not_built(json.loads(os.environ.get("HANDOUTS") or "[]"), reports.values(), store)
    admitted = (store.get(r.key) for r in reports.values() if r.built and r.step not in left_out)
    offered = {artifact.filename: artifact for artifact in (*taken, *admitted) if artifact is not None}
    index = Index(settings.index)
    held = held_back(_requires(offered.values(), store), _absent(left_out), _served(index))
    wheels = [IndexFile(path=store.path(a), sha256=a.sha256) for name, a in offered.items() if name not in held]
    if wheels:
        print(index.publish(STAGING, wheels, comment="workflow farm", replace=True).name)
    return tell(left_out, held)


def _is_late(report: NativeReport, store: Store) -> bool:
    """Whether a native runner built what the store has another wheel of by now: a key means one wheel, the first."""
    there = store.get(report.key) if report.built else None
    if there is None or there.sha256 == report.sha256:
        return False
    print(f"{report.step}: the store has another {there.filename} already; that of {report.runner} is not taken")
    return True


def take(places: list[Path], store: Store) -> list[Artifact]:
    """Put every wheel of other stores into this one, all checked first. Raises StoreError for a damaged one."""
    found: list[tuple[str, Path]] = []
    for place in places:
        other = Store(place)
        for key in sorted(other.keys()):
            artifact = other.get(key)
            if artifact is None or not other.verify(artifact):
                raise StoreError(
                    f"the wheel of {key[:12]} is damaged or missing", where=str(place), fix="run its job again"
                )
            found.append((key, other.path(artifact)))
    return [store.put(key, wheel) for key, wheel in found]


def admit_built(reports: Mapping[Path, NativeReport]) -> tuple[int, LeftOut]:
    """Admit what native runners built, each wheel for itself. The first value is the exit code of a fault that is none
    of a wheel's (a full disk), 0 else."""
    left_out: LeftOut = {}
    for file, report in reports.items():
        failed = next((verdict for verdict in report.verdicts if verdict.outcome is Outcome.FAILED), None)
        if failed is not None:
            reason = f"its {failed.suite} test failed on {report.runner}: {failed.reason}"
            left_out[report.step] = TestsFailedError.exit_code, reason
        elif code := farm(["admit", str(file)]):
            if code not in REFUSED:
                return code, left_out
            left_out[report.step] = code, f"what {report.runner} built is refused: see above"
    return 0, left_out


def not_built(jobs: Iterable[Mapping[str, Any]], reports: Iterable[NativeReport], store: Store) -> LeftOut:
    """What was handed out, is in no report, and in no store: the runner's job says why."""
    reported = {report.step for report in reports}
    rows = [row for job in jobs for row in job["handouts"]]
    missing = [row["step"] for row in rows if row["step"] not in reported and store.get(row["key"]) is None]
    reason = "its native runner did not build it: see the job native-build"
    return dict.fromkeys(missing, (BuildError.exit_code, reason))


def tell(left_out: LeftOut, held: Mapping[str, str]) -> int:
    """Say what staging does not offer, to people and to the forge; the first exit code."""
    lines = [f"{step} is left out: {reason}" for step, (_, reason) in left_out.items()]
    lines += [f"{filename} is held back: {why}" for filename, why in held.items()]
    plain = ["".join(c if c.isprintable() else " " for c in line)[:_SHOWN] for line in lines]
    for line in plain:  # reasons come from runners: one line each, and no command of the forge's in it
        print(f"::error title=not published::{line.replace('%', '%25')}")
    if plain and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write("".join(f"- {line.replace('<', '&lt;')}\n" for line in ("Not published:", *plain)))
    return next((code for code, _ in left_out.values()), 0)


def _absent(left_out: Iterable[str]) -> list[Absent]:
    """The wheels that steps would have made."""
    steps = [(step, *step.split("/")) for step in left_out]
    loaded = catalog.load(load()).recipes if steps else {}
    found = []
    for step, release, platform, tag in steps:
        recipe = loaded[release.partition("@")[0]].recipe
        python = "" if recipe.build.abi3 else tag
        found.append(Absent(project=recipe.distribution, python=python, platform=platform, what=step))
    return found


def _requires(artifacts: Iterable[Artifact], store: Store) -> dict[str, list[Requirement]]:
    """What wheels require, by file name."""
    found = {}
    for artifact in artifacts:
        with WheelArchive.open(store.path(artifact)) as archive:
            member = archive.dist_info_file("METADATA")
            lines = metadata.parse_headers(archive.read(member), f"{artifact.filename}: {member}").all("Requires-Dist")
        found[artifact.filename] = [pypa.requirement(line) for line in lines]
    return found


def _served(index: Index) -> list[str]:
    """The file names that staging offers now."""
    generation = index.current(STAGING)
    return [] if generation is None else [file.filename for file in index.files_in(generation) if file.yanked is None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
