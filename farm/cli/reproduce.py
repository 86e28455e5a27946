"""Build stored wheels once more, elsewhere, and compare byte for byte: for maintainers and for nightly runs.

Each step that is asked for and is in the store is built again in a fresh home, with a compiler cache of its own,
against the stored wheels of what it requires. Nothing in the store changes. What came out is written down:
`farm status --json` shows it as the verdict `reproducible`, `make matrix` as a table.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cli import history, wanted
from farm.cli.output import human_seconds, print_json, print_table
from farm.errors import FarmError, GateError
from farm.model.outcome import Outcome

if TYPE_CHECKING:
    from farm.catalog import Catalog
    from farm.model.artifact import Artifact
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.artifacts import Store

EPILOG = """examples:
  farm reproduce zlib --platform '*'         zlib once more for every platform that it is built for
  farm reproduce --json                      everything that is stored for this machine's own platform
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What a second build came to. `differences` has a sentence for each member of the wheel that differs."""

    outcome: Outcome
    reason: str = ""
    differences: tuple[str, ...] = ()
    seconds: float = 0.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    wanted.configure(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build again what is stored; exits with the code of a gate if a wheel differs or cannot be built again."""
    from farm import catalog
    from farm.store import home
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan = wanted.plan_of(args, loaded)
    store = open_store(settings)
    home.prepare(settings.home)
    asked = {loaded.providers[text.partition("@")[0]] for text in args.recipe} or set(loaded.recipes)
    found = {}
    with store.pinned(step.key for step in plan.steps):
        for step in plan.steps:
            if step.recipe in asked:
                if not args.json:
                    print(f"  {step.id}", flush=True)
                found[step.id] = _again(step, plan, loaded, store, settings)
    _report(args, found)
    return GateError.exit_code if any(again.outcome is Outcome.FAILED for again in found.values()) else 0


def _again(step: Step, plan: Plan, loaded: Catalog, store: Store, settings: Settings) -> _Again:
    """Build a step again, and write down what came out."""
    from farm.store.ledger import Ledger

    keys = {id_: plan.by_id()[id_].key for id_ in step.requires}
    stored = store.get(step.key)
    deps = {id_: artifact for id_, key in keys.items() if (artifact := store.get(key))}
    if stored is None or len(deps) < len(keys):
        return _Again(
            outcome=Outcome.NOT_RUN, reason=f"it is not built, or not what it requires: farm build {step.recipe}"
        )
    if stored.key != step.key:
        reason = f"it was rebound, not built: farm build {step.recipe} --no-rebound"
        return _Again(outcome=Outcome.NOT_RUN, reason=reason)
    again = _compared(step, stored, deps, loaded, store, settings)
    with Ledger.open(settings.ledger) as ledger:
        ledger.record_verdict(step.key, history.REPRODUCIBLE, again.outcome, reason=again.reason)
    return again


def _compared(
    step: Step, stored: Artifact, deps: dict[str, Artifact], loaded: Catalog, store: Store, settings: Settings
) -> _Again:
    from farm.process import Cancel
    from farm.reproduce import reproduce

    def quietly(_phase: str) -> None:
        """One line per step is enough."""

    started = time.monotonic()
    try:
        different = reproduce(
            step, stored, deps, catalog=loaded, store=store, settings=settings, cancel=Cancel(), report_phase=quietly
        )
        reason = _summary(different)
    except FarmError as error:
        different, reason = (), f"it could not be built again: {error}"
    return _Again(
        outcome=Outcome.FAILED if reason else Outcome.PASSED,
        reason=reason,
        differences=different,
        seconds=time.monotonic() - started,
    )


def _summary(different: tuple[str, ...]) -> str:
    """The first difference, and how many more there are."""
    more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
    return f"{different[0]}{more}" if different else ""


def _report(args: argparse.Namespace, found: dict[str, _Again]) -> None:
    if args.json:
        print_json({"steps": [{"step": id_, **_facts(again)} for id_, again in found.items()]})
        return
    words = {Outcome.PASSED: "yes", Outcome.FAILED: "NO", Outcome.NOT_RUN: "not run"}
    rows = [[id_, words[again.outcome], human_seconds(again.seconds), again.reason] for id_, again in found.items()]
    print_table(("step", "identical", "took", "what differs"), rows)


def _facts(again: _Again) -> dict[str, object]:
    return {
        "outcome": again.outcome.value,
        "reason": again.reason,
        "differences": list(again.differences),
        "seconds": round(again.seconds, 3),
    }
