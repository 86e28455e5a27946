"""`make matrix`: write docs/matrix.md, what `farm status` says of the farm in FARM_HOME."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import sys
from pathlib import Path
from typing import Any

from farm import catalog
from farm.cli import matrix
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


AGAIN = """
## Built twice

Wheels that `farm reproduce` built once more, in a home at another path and with a compiler cache of its own, and
compared byte for byte. An empty cell was not tried with today's inputs.

"""


def main() -> int:
    pythons = [word for python in catalog.load_from(ROOT).pythons.values() for word in ("--python", python.short)]
    asked = ["--catalog", str(ROOT), "status", "--platform", "*", *pythons]
    code, table = _said([*asked, "--markdown"])
    if code:
        return code
    again = _reproducible(json.loads(_said([*asked, "--json"])[1])["steps"])
    commit = run(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]).output.strip()
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    head = HEAD.format(day=day, commit=commit, pythons="".join(f" {word}" for word in pythons))
    PAGE.write_text(head + table + again, "utf-8")
    print(f"{PAGE.relative_to(ROOT)} at {commit}")
    return 0


def _said(argv: list[str]) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = farm(argv)
    return code, said.getvalue()


def _reproducible(steps: list[dict[str, Any]]) -> str:
    """The table of what was built twice, with the reasons for what differs; empty if nothing was."""
    table = matrix.reproducible(steps)
    return f"{AGAIN}{table}" if table else ""


if __name__ == "__main__":
    sys.exit(main())
