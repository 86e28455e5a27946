"""Show what would be built, in which order, why, and how long it took the last time."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from farm.cli import history, output, quick, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farm.model.artifact import Artifact
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.ledger import Ledger

EPILOG = """examples:
  farm plan                                  everything, for this machine's own platform
  farm plan --platform '*'                   everything, for every platform
  farm plan gmpy2 --platform 'manylinux*'    one recipe and all it needs
  farm plan gmp@6.3.0                        a certain release
  farm plan --all --json                     every step with its key, also those that are up to date
  farm plan --bump gmp=6.3.0                 what that release needs: what is built, rebound, only tested, and why
  farm plan --bump gmp=7.0 --platform '*'    a release that no recipe has yet: if it keeps the ABI, and if it breaks it
"""

_REBOUND = "its wheel was rebound, not built"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    wanted.configure(parser)
    parser.add_argument(
        "--bump",
        action="append",
        default=[],
        metavar="NAME=VERSION",
        help="say what a release needs, compared with the one before it; may be repeated; nothing is built",
    )
    parser.add_argument("--all", action="store_true", help="show steps that are up to date, too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the plan; exits with 0 whether there is something to build or not."""
    if args.bump:
        from farm.cli import bumped

        return bumped.run(args, settings)
    started_ns = time.time_ns()
    from farm import catalog
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan = wanted.plan_of(args, loaded)
    store = open_store(settings)
    known = store.known(step.key for step in plan.steps)
    found = {step.id: known[step.key] for step in plan.steps if step.key in known}
    if len(found) == len(plan.steps) and not (args.json or args.all):
        notes = wanted.notes(plan, found)
        wanted.remember(args, settings, loaded, plan, store, found.values(), started_ns=started_ns, notes=notes)
        print(quick.text(len(plan.steps), notes))
        return 0
    rows = _rows(plan, found, settings)
    if args.json:
        output.print_json(_document(plan, rows))
    else:
        _print(plan, [row for row in rows if args.all or row["state"] == "build"], len(found))
    return 0


def _rows(plan: Plan, found: dict[str, Artifact], settings: Settings) -> list[dict[str, Any]]:
    """One row per step; history is read only if there is one and something is to be built."""
    if len(found) == len(plan.steps):
        return [_row(step, found[step.id], None, {}) for step in plan.steps]
    with history.ledger_if_any(settings) as ledger:
        durations = ledger.durations() if ledger is not None else {}
        return [_row(step, found.get(step.id), ledger, durations) for step in plan.steps]


def _row(step: Step, found: Artifact | None, ledger: Ledger | None, durations: Mapping[str, float]) -> dict[str, Any]:
    rebound = found is not None and found.key != step.key
    return {
        "step": step.id,
        "state": "cached" if found else "build",
        "why": ([_REBOUND] if rebound else []) if found else _why(step, ledger),
        "rebound": rebound,
        "expected_seconds": None if found else durations.get(step.slot),
        "key": step.key,
        "recipe": step.recipe,
        "version": step.version,
        "platform": step.platform,
        "python": step.python,
        "requires": list(step.requires),
    }


def _why(step: Step, ledger: Ledger | None) -> list[str]:
    from farm.plan.explain import explain

    last = (ledger.last_built(step.id) or ledger.last_built(step.slot)) if ledger is not None else None
    if last is None:
        return ["never built here"]
    return explain(last.inputs, step.inputs) or ["its wheel is no longer in the store"]


def _print(plan: Plan, rows: list[dict[str, Any]], cached: int) -> None:
    output.print_table(("step", "state", "took", "why"), [_cells(row) for row in rows])
    for line in wanted.impossible_lines(plan.impossible):
        print(line)
    print(_total(plan, rows, cached))


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    seconds = row["expected_seconds"]
    why = "; ".join(row["why"][:2]) + (f" (and {len(row['why']) - 2} more)" if len(row["why"]) > 2 else "")
    return row["step"], row["state"], output.human_seconds(seconds) if seconds is not None else "-", why


def _total(plan: Plan, rows: list[dict[str, Any]], cached: int) -> str:
    build = [row for row in rows if row["state"] == "build"]
    known = [row["expected_seconds"] for row in build if row["expected_seconds"] is not None]
    text = f"{len(build)} to build, {cached} of {len(plan.steps)} up to date"
    if known:
        unknown = len(build) - len(known)
        text += f"; {output.human_seconds(sum(known))} of building expected"
        text += f", {unknown} without history" if unknown else ""
    return text


def _document(plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"steps": rows, "impossible": wanted.impossible_rows(plan.impossible)}
