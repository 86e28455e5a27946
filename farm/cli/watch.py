"""Look for new releases of upstream, as recipes say in `[watch]`.

A place that does not answer is said in its row and keeps nobody from the others. What was seen is remembered, so that
`--due` asks only for the recipes whose time (`[watch] schedule`) has come and shows the others as they were seen last.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from farm.cli import bump, output, proposing
from farm.errors import FarmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from farm.catalog import Catalog
    from farm.settings import Settings
    from farm.watch.values import Sighting

EPILOG = """examples:
  farm watch                                 all recipes that have a [watch] table
  farm watch gmp mpfr --json
  farm watch --due                           for cron: ask only for those whose time has come
  farm watch --expired                       from a Debian mirror that is no longer fed
  farm recipe bump gmp --branch              then: propose the newest release as a branch
  farm watch --due --pull-request            for cron, too: propose all that is newer ($GITHUB_TOKEN)
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipes; none: all that are watched")
    parser.add_argument("--due", action="store_true", help="ask only for those whose time has come")
    parser.add_argument("--pre", action="store_true", help="alphas, betas and release candidates are releases, too")
    parser.add_argument("--expired", action="store_true", help="take a signed Debian index whose validity is over")
    proposing.configure(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what is newer, and propose it if asked; exits with 0 whether upstream could be reached or not.

    A proposal that fails keeps nobody from the others; the exit code is that of the first one. Raises UsageError,
    StoreError.
    """
    from datetime import UTC, datetime

    from farm import catalog
    from farm.store import home
    from farm.watch import look, memory

    loaded = catalog.load(settings)
    names = _wanted(args.recipe, loaded)
    home.prepare(settings.home)
    now = datetime.now(UTC).replace(microsecond=0)
    asked = _due(names, loaded, settings, now) if args.due else names
    recipes = {name: loaded.recipes[name].recipe for name in names}
    seen = look.look((recipes[name] for name in asked), bump.asking(args, settings), now, prereleases=args.pre)
    known = memory.remember(settings.home, seen)
    fresh = {sighting.recipe: sighting for sighting in seen}
    rows = [fresh.get(name) or memory.recall(recipes[name], known) for name in names]
    if not args.json:
        _print(rows, proposes=args.branch or args.pull_request)
    newer = [row for row in rows if row.newer and row.recipe in fresh]
    proposals = _propose(newer, args, settings) if args.branch or args.pull_request else {}
    if args.json:
        output.print_json([{**document(row), **proposals.get(row.recipe, {})} for row in rows])
    return next((row["error"]["exit_code"] for row in proposals.values() if "error" in row), 0)


def _propose(rows: Sequence[Sighting], args: argparse.Namespace, settings: Settings) -> dict[str, dict[str, Any]]:
    """Propose the newest release of each; by recipe, its proposal or the error as it is shown in JSON."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        try:
            made = proposing.propose(
                args,
                row.recipe,
                row.upstream,
                settings,
                asking=bump.asking(args, settings),
                progress=bump.progress(args),
            )
        except FarmError as error:
            print(f"{row.recipe}: {error.kind} error: {error}", file=sys.stderr)
            said = {"kind": error.kind, "exit_code": error.exit_code, "text": str(error)}
            found[row.recipe] = {"error": said}
        else:
            found[row.recipe] = {"proposal": proposing.document(made)}
            if not args.json:
                print("\n".join(proposing.lines(made)))
    return found


def _wanted(names: Sequence[str], loaded: Catalog) -> list[str]:
    for name in names:
        if name not in loaded.recipes:
            raise UsageError(f"there is no recipe {name!r}", fix="`farm recipe list`")
    return list(dict.fromkeys(names)) or [name for name, it in loaded.recipes.items() if it.recipe.watch is not None]


def _due(names: Sequence[str], loaded: Catalog, settings: Settings, now: datetime) -> tuple[str, ...]:
    from farm.watch import memory, schedule

    forms = schedule.watching({name: loaded.recipes[name].recipe for name in names})
    last = {name: seen.checked for name, seen in memory.load(settings.home).items()}
    return schedule.due(forms, last, now)


def document(row: Sighting) -> dict[str, Any]:
    """A sighting for programs."""
    return {
        "recipe": row.recipe,
        "here": row.here,
        "upstream": row.upstream,
        "newer": list(row.newer),
        "state": row.state,
        "checked": row.checked.isoformat() if row.checked else None,
        "why": row.why,
    }


def _print(rows: Sequence[Sighting], *, proposes: bool) -> None:
    cells = [
        (
            row.recipe,
            row.here,
            row.upstream or "-",
            row.state,
            f"{row.checked:%Y-%m-%d %H:%M} UTC" if row.checked else "never",
        )
        for row in rows
    ]
    output.print_table(("recipe", "here", "upstream", "state", "checked"), cells)
    for (state, why), names in _reasons(rows).items():
        print(f"{', '.join(names)}: {state}: {why}")
    newer = [row.recipe for row in rows if row.newer]
    if newer and not proposes:
        print(f"next: farm recipe bump {newer[0]} --branch" + (f" (and {len(newer) - 1} more)" if newer[1:] else ""))
    elif not rows:
        print("no recipe has a [watch] table")


def _reasons(rows: Sequence[Sighting]) -> dict[tuple[str, str], list[str]]:
    """State and reason -> the recipes it is true of: one mirror that is gone is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.why:
            found.setdefault((row.state, row.why), []).append(row.recipe)
    return found
