"""Say what this machine lacks for the recipes of this catalog, and the command that gets it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from farm.cli.output import print_json, print_table

if TYPE_CHECKING:
    from farm.settings import Settings

EPILOG = """examples:
  farm doctor
  farm doctor --json | jq -r '.checks[] | select(.state == "missing") | .fix'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Check; exits with 10 if something needed is missing."""
    from farm.build import checkup
    from farm.errors import MissingToolError

    checks = checkup.examine(settings)
    missing = [check for check in checks if check.state is checkup.State.MISSING]
    if args.json:
        rows = [{"name": c.name, "state": c.state.value, "detail": c.detail, "fix": c.fix} for c in checks]
        print_json({"ok": not missing, "checks": rows})
    else:
        print_table(("state", "what", "detail"), [(c.state.value, c.name, c.detail) for c in checks])
        for fix in dict.fromkeys(c.fix for c in checks if c.fix and c.state is not checkup.State.OK):
            print(f"  fix: {fix}")
        if not missing:
            print("everything that is needed is there", file=sys.stderr)
    return MissingToolError.exit_code if missing else 0
