"""Run the tests of recipes against their built wheels, on the runner of each platform.

What is not built yet is built first. `smoke` compiles and runs the recipe's own small program; `upstream` runs the
project's own test suite against the installed wheel. A test that cannot run here is `not run`, with the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from typing import TYPE_CHECKING

from farm.cli import wanted
from farm.cli.output import human_seconds, print_json, print_table
from farm.errors import TestsFailedError, UsageError

if TYPE_CHECKING:
    from farm.catalog import Catalog
    from farm.model.plan import Plan, Step
    from farm.runners import SmokeResult
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.workers.result import RunResult

EPILOG = """examples:
  farm test                                   smoke tests of everything, on this machine's own platform
  farm test gmpy2 --suite upstream            gmpy2's own tests against the farm's wheel
  farm test gmpy2 --suite upstream --compare  the same against the wheel of the configured index: do they differ?
"""
_SHOWN_LINES = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    wanted.configure(parser)
    parser.add_argument("--suite", choices=("smoke", "upstream"), default="smoke", help="default: smoke")
    parser.add_argument(
        "--compare", action="store_true", help="with --suite upstream: also test the configured index's wheel"
    )
    parser.add_argument("--no-sandbox", action="store_true", help="where something must be built: without bubblewrap")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Test; exits with the code of failed tests if one fails."""
    if args.compare and args.suite != "upstream":
        raise UsageError("compares upstream's suite only", where="--compare", fix="add --suite upstream")
    from farm import catalog
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan = wanted.plan_of(args, loaded)
    store = open_store(settings)
    built = _built(plan, loaded, store, settings, quiet=args.json)
    asked = {loaded.providers[text.partition("@")[0]] for text in args.recipe} or set(loaded.recipes)
    steps = [step for step in plan.steps if step.recipe in asked]
    results = {step.id: _test(step, args, built, loaded, store, settings) for step in steps}
    _report(args, results)
    return TestsFailedError.exit_code if any(r.outcome == "failed" for r in results.values()) else 0


def _built(plan: Plan, loaded: Catalog, store: Store, settings: Settings, *, quiet: bool) -> RunResult:
    from farm.cli import failure, running
    from farm.store import home

    home.prepare(settings.home)
    work = functools.partial(running.carry_out, plan, loaded, store, settings, jobs=1, quiet=quiet)
    result, _ = running.published_whole(work, store, settings)
    if not result.ok:
        failure.explain_all(result)
        raise TestsFailedError("what is to be tested could not be built", fix="see above")
    return result


def _test(
    step: Step, args: argparse.Namespace, built: RunResult, loaded: Catalog, store: Store, settings: Settings
) -> SmokeResult:
    from farm import trial
    from farm.index.contents import STAGING
    from farm.plan.selection import ids_beside
    from farm.store.ledger import Ledger
    from farm.store.standing import judged

    if not args.json:
        print(f"  {step.id}: {args.suite}", flush=True)
    paths = {id_: store.path(artifact) for id_, artifact in built.artifacts.items()}
    it = trial.Trial(
        step=step,
        wheel=paths[step.id],
        deps={id_: paths[id_] for id_ in step.requires},
        beside=tuple(paths[id_] for id_ in ids_beside(step, loaded.recipes) if id_ in paths),
        index_url=(settings.index / STAGING / "simple").as_uri(),
        catalog=loaded,
        settings=settings,
    )
    result = trial.run(it, args.suite, compare=args.compare)
    details = dataclasses.asdict(result.counts) if result.counts else {}
    with Ledger.open(settings.ledger) as ledger:
        key = judged(step, built.artifacts[step.id], ledger)
        ledger.record_verdict(key, args.suite, result.outcome, reason=result.reason, details=details)
    return result


def _report(args: argparse.Namespace, results: dict[str, SmokeResult]) -> None:
    if args.json:
        print_json({"suite": args.suite, "results": [{"step": id_, **_facts(r)} for id_, r in results.items()]})
        return
    for id_, result in results.items():
        if result.outcome == "failed":
            print("\n".join([f"\n{id_}:", *(f"  | {line}" for line in result.output.splitlines()[-_SHOWN_LINES:])]))
    rows = [
        [id_, result.outcome.value, human_seconds(result.seconds), _tests(result), result.reason]
        for id_, result in results.items()
    ]
    print_table(("step", args.suite, "took", "tests", "why"), rows)


def _tests(result: SmokeResult) -> str:
    if result.counts is None:
        return "-"
    counts = result.counts
    parts = [(counts.passed, "passed"), (counts.failed + counts.errors, "failed"), (counts.skipped, "skipped")]
    return ", ".join(f"{count} {word}" for count, word in parts if count)


def _facts(result: SmokeResult) -> dict[str, object]:
    return {
        "outcome": result.outcome.value,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "counts": dataclasses.asdict(result.counts) if result.counts else None,
        "mapped": {name: list(paths) for name, paths in result.mapped.items()},
        "output": result.output,
    }
