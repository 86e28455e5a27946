"""Take in what the jobs of the workflow `farm` built and tested, and offer it in the staging channel.

DIRECTORY holds `stores/*` (the stores of build jobs) and `reports/*` (of native runners), as they were downloaded. Each
wheel is checked by its hash and put under its key like one that was built here; a key that is here already keeps its
wheel. Then the reports are admitted. A failed test, or anything that does not match, ends it: staging stays as it was.

  python scripts/ci_publish.py taken
"""

from __future__ import annotations

import sys
from pathlib import Path

from farm.cli import run as farm
from farm.errors import FarmError, StoreError
from farm.index.contents import STAGING, IndexFile
from farm.index.generations import Index
from farm.model.artifact import Artifact
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
    except FarmError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    reports = sorted(map(str, directory.glob("reports/**/*.json")))
    if reports and (code := farm(["admit", *reports])):
        return code
    files = [IndexFile(path=store.path(artifact), sha256=artifact.sha256) for artifact in taken]
    if files:
        print(Index(settings.index).publish(STAGING, files, comment="workflow farm", replace=True).name)
    return 0


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
