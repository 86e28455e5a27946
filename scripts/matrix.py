"""`make matrix`: write docs/matrix.md and docs/matrix.json, what `farm status` says of the farm in FARM_HOME, and of
earlier ones under build keys that are still the same (matrix_records.py)."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matrix_records
from matrix_records import Row

from farm import catalog, settings
from farm.cli import matrix
from farm.cli import run as farm
from farm.process import run
from farm.store.artifacts import open_store

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "matrix.md"
RECORDS = ROOT / "docs" / "matrix.json"
HEAD = """\
# The matrix

What of every recipe is built and tested, for every [platform](platforms.md) and every [Python](pythons.md). Generated
by `make matrix` on {day} from the ledgers of farms, in which ran

```console
$ farm build --platform '*'{pythons}
$ farm test --platform '*'{pythons}
```

A cell is what was found under the build key that the catalog gives today: {counts}. The
key is a hash of all that a wheel depends on, so what was found stays true until an input changes; then the cell is
*never* again. `docs/matrix.json` has the keys. Do not edit either: run the commands and `make matrix` again.

"""


AGAIN = """
## Built twice

Wheels that were built once more and compared byte for byte: by `farm reproduce`, in a home at another path and with a
compiler cache of its own, or by another farm on another machine. An empty cell was not tried with today's inputs.

"""


def main() -> int:
    pythons = [word for python in catalog.load_from(ROOT).pythons.values() for word in ("--python", python.short)]
    code, said = _said(["--catalog", str(ROOT), "status", "--platform", "*", *pythons, "--json"])
    if code:
        return code
    status = json.loads(said)
    known = matrix_records.load(RECORDS)
    found = _this_run()
    rows = matrix_records.merged(status["steps"], known, farm=found["farm"])
    records = matrix_records.records(rows, known, found)
    head = HEAD.format(day=found["day"], counts=_counts(records), pythons="".join(f" {word}" for word in pythons))
    with contextlib.redirect_stdout(io.StringIO()) as table:
        matrix.print_markdown(matrix.matrix(rows, status["impossible"]))
    matrix_records.save(RECORDS, records)
    PAGE.write_text(head + table.getvalue() + _reproducible(rows), "utf-8")
    print(f"{PAGE.relative_to(ROOT)} and {RECORDS.relative_to(ROOT)}: {len(records)} of {len(rows)} steps are built")
    return 0


def _this_run() -> dict[str, str]:
    return {
        "day": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "commit": run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]).output.strip(),
        "farm": open_store(settings.load()).farm_id(),
    }


def _counts(records: Sequence[Row]) -> str:
    """How many records each run wrote, oldest first."""
    runs = Counter((record["day"], record["commit"]) for record in records)
    said = [f"{count} on {day} at commit {commit}" for (day, commit), count in sorted(runs.items())]
    return ", ".join(said) or "nothing as yet"


def _said(argv: list[str]) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = farm(argv)
    return code, said.getvalue()


def _reproducible(steps: Sequence[Row]) -> str:
    """The table of what was built twice, with the reasons for what differs; empty if nothing was."""
    table = matrix.reproducible(steps)
    return f"{AGAIN}{table}" if table else ""


if __name__ == "__main__":
    sys.exit(main())
