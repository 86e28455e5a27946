"""Show what is built, tested and failed, by recipe and platform, with the reasons."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from farm.cli import history, matrix, numbers, output, wanted
from farm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from farm.model.artifact import Artifact
    from farm.model.plan import Step
    from farm.settings import Settings
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt, Verdict

EPILOG = """examples:
  farm status                                the whole farm
  farm status gmp mpfr --platform 'musl*'
  farm status --json                         every step with its tests and reasons
  farm status --watch                        what runs now, where and for how long; Ctrl-C ends it
  farm status --watch 'gmp*' | tee farm.log  in a pipe: a line for each change
  farm status --markdown                     the matrix for a page of documentation

words:
"""
EPILOG += "\n".join(f"  {word:<12}{meaning}" for word, meaning in matrix.WORDS.items())


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipes and all they need; none: all")
    parser.add_argument("--platform", action="append", default=[], metavar="P", help="platform tag or glob")
    parser.add_argument(
        "--python", action="append", default=[], metavar="X.Y", help="Python of dependents; default: all ever planned"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print the matrix as Markdown")
    parser.add_argument("--watch", action="store_true", help="what runs, waits and failed last, until Ctrl-C")
    parser.add_argument(
        "--interval", type=numbers.amount, default=2.0, metavar="S", help="seconds between looks; default: 2"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the matrix; exits with 0 whatever it shows."""
    if args.watch:
        return _watch(args, settings)
    from farm import catalog
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    wanted.check_pythons(args.python, loaded)
    with history.ledger_if_any(settings) as ledger:
        pythons = args.python or _pythons(ledger)
        plan = wanted.make_plan(loaded, recipes=args.recipe, platforms=args.platform, pythons=pythons)
        store = open_store(settings)
        stored = store.known(step.key for step in plan.steps)
        rows = _rows(plan.steps, stored, ledger)
    if args.json:
        output.print_json({"steps": rows, "impossible": wanted.impossible_rows(plan.impossible)})
        return 0
    show = matrix.print_markdown if args.markdown else matrix.print_text
    show(matrix.matrix(rows, wanted.impossible_rows(plan.impossible)))
    return 0


def _watch(args: argparse.Namespace, settings: Settings) -> int:
    from farm.cli import status_watch

    if args.markdown or args.python:
        raise UsageError(
            "goes with neither --markdown nor --python", where="--watch", fix="give recipes and --platform only"
        )
    return status_watch.watch(
        status_watch.ledger_to_watch(settings),
        interval=args.interval,
        recipes=args.recipe,
        platforms=args.platform,
        json=args.json,
    )


def _pythons(ledger: Ledger | None) -> list[str]:
    return sorted({wanted.own_python(), *(ledger.pythons() if ledger else ())}, key=lambda tag: int(tag[3:]))


def _rows(steps: Sequence[Step], stored: Mapping[str, Artifact], ledger: Ledger | None) -> list[dict[str, Any]]:
    attempts = ledger.last_attempts([step.key for step in steps]) if ledger else {}
    judged = {step.key: stored[step.key].key if step.key in stored else step.key for step in steps}  # the wheel's key
    verdicts = ledger.verdicts(judged.values()) if ledger else {}
    leased = ledger.leased_keys() if ledger else set()
    return [
        _row(
            step,
            stored.get(step.key),
            attempts.get(step.key),
            verdicts.get(judged[step.key], ()),
            step.key in leased,
        )
        for step in steps
    ]


def _row(
    step: Step, stored: Artifact | None, attempt: Attempt | None, verdicts: Sequence[Verdict], leased: bool
) -> dict[str, Any]:
    state = _state(stored is not None, attempt, leased)
    refused = state == "failed" and attempt is not None and attempt.phase == history.AUDIT
    now = [v for v in verdicts if stored or (refused and v.kind == history.AUDIT)]  # others are of a wheel that is gone
    return {
        "step": step.id,
        "recipe": step.recipe,
        "version": step.version,
        "platform": step.platform,
        "python": step.python,
        "state": state,
        "rebound": stored is not None and stored.key != step.key,
        "phase": attempt.phase if attempt and attempt.state.value == state else "",
        "error": attempt.error if attempt and state in ("failed", "cut off") else "",
        "seconds": round(attempt.seconds, 3) if attempt else None,
        "tried": attempt.started.isoformat() if attempt else None,
        "verdicts": {v.kind: {"outcome": v.outcome.value, "reason": v.reason} for v in now},
        "key": step.key,
        "sha256": stored.sha256 if stored else None,
    }


def _state(stored: bool, attempt: Attempt | None, leased: bool) -> str:
    """The store says what is built; the ledger says why the rest is not."""
    if stored:
        return "built"
    if leased:
        return "running"
    if attempt is None or attempt.state.value == "built":  # built once, and removed since
        return "never"
    return "failed" if attempt.state.value == "failed" else "cut off"
