"""Take in what the jobs of the workflow `farm` built and tested, and offer it in the staging channel.

DIRECTORY holds `stores/*` (the stores of build jobs), `reports/*` and `built/*` (of native runners), as they were
downloaded. Each wheel is checked by its hash and put under its key like one that was built here; a key that is here
already keeps its wheel. Then the reports are admitted, and with them the wheels that native runners built. A failed
test, or anything that does not match, ends it: staging stays as it was.

  python scripts/ci_publish.py taken
"""

from __future__ import annotations

import sys
from pathlib import Path

from farm.admission import read_report
from farm.cli import run as farm
from farm.errors import FarmError, StoreError
from farm.index.contents import STAGING, IndexFile
from farm.index.generations import Index
from farm.model.artifact import Artifact
from farm.model.native_report import NativeReport
from farm.settings import load
from farm.store import home
from farm.store.artifacts import Store


def main(argv: list[str]) -> int:
    """0 if staging offers what was taken; the exit code of what refused."""
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
    native = {file: report for file, report in reports.items() if not _is_late(report, store)}
    if native and (code := farm(["admit", *map(str, native)])):
        return code
    admitted = (store.get(report.key) for report in native.values() if report.built)
    offered = {artifact.key: artifact for artifact in (*taken, *admitted) if artifact is not None}
    wheels = [IndexFile(path=store.path(artifact), sha256=artifact.sha256) for artifact in offered.values()]
    if wheels:
        print(Index(settings.index).publish(STAGING, wheels, comment="workflow farm", replace=True).name)
    return 0


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
