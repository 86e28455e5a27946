"""`make matrix`: write docs/matrix.md, what `farm status` says of the farm in FARM_HOME."""

from __future__ import annotations

import contextlib
import datetime
import io
import sys
from pathlib import Path

from farm import catalog
from farm.cli import run as farm
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "matrix.md"
HEAD = """\
# The matrix

What of every recipe is built and tested, for every [platform](platforms.md) and every [Python](pythons.md). Generated
by `make matrix` on {day}, at commit {commit}, from the ledger of a farm: what was left there by

```console
$ farm build --platform '*'{pythons}
$ farm test --platform '*'{pythons}
```

Do not edit it: run these and `make matrix` again, with the same `FARM_HOME`.

"""


def main() -> int:
    pythons = [word for python in catalog.load_from(ROOT).pythons.values() for word in ("--python", python.short)]
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        code = farm(["--catalog", str(ROOT), "status", "--platform", "*", *pythons, "--markdown"])
    if code:
        return code
    commit = run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]).output.strip()
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    head = HEAD.format(day=day, commit=commit, pythons="".join(f" {word}" for word in pythons))
    PAGE.write_text(head + table.getvalue(), "utf-8")
    print(f"{PAGE.relative_to(ROOT)} at {commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
