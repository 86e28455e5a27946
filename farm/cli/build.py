"""Build recipes and all they need, check them, and publish them to the staging channel.

What is in the store already is not built again; `farm why STEP` says why something is. An interrupted or killed build
goes on where it stopped when the same command is run again.
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import TYPE_CHECKING

from farm.cli import failure, fleet_options, fleeting, numbers, quick, running, telling, wanted
from farm.cli.output import human_seconds, print_json
from farm.errors import FarmError, GateError, UsageError
from farm.index.contents import STAGING

if TYPE_CHECKING:
    from farm.model.plan import Plan
    from farm.settings import Settings
    from farm.workers.result import RunResult

EPILOG = """examples:
  farm build gmpy2                              gmpy2 and the native wheels it needs
  farm build --platform 'manylinux*' --jobs 2   every recipe for these platforms, two steps at a time
  farm build gmp --no-sandbox                   where bubblewrap cannot be had; less is guaranteed
  farm build gmpy2 --no-rebound                 gmpy2 from its sources, though a cascade rebound its wheel
  farm build --broker redis://HOST:6379/0 --follow    on a fleet of workers (docs/fleet.md), their logs shown live
  pip install --index-url file://$FARM_HOME/index/staging/simple gmpy2
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    wanted.configure(parser)
    parser.add_argument(
        "--jobs", type=numbers.whole, default=1, metavar="N", help="steps at once; each uses its share of cores"
    )
    parser.add_argument("--no-publish", action="store_true", help="leave the staging channel as it is")
    parser.add_argument("--no-rebound", action="store_true", help="build what a cascade only rebound")
    parser.add_argument("--no-sandbox", action="store_true", help="build without bubblewrap: nothing is hidden")
    fleet_options.configure_broker(parser)
    parser.add_argument("--follow", action="store_true", help="with --broker: show the logs while they are written")
    parser.add_argument(
        "--pull-requests", action="store_true", help="with --broker: ask workers without publishing rights"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of progress")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build; exits with the code of the first failure, 0 if every step is there."""
    started_ns = time.time_ns()
    if args.jobs < 1:
        raise UsageError(f"{args.jobs} jobs cannot work", where="--jobs", fix="give 1 or more")
    fleet_options.refuse_nonsense(args)
    from farm import catalog
    from farm.store import home
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan = wanted.plan_of(args, loaded)
    home.prepare(settings.home)  # refuses a directory of somebody else before anything is written to it
    store = open_store(settings, stand_ins=not args.no_rebound)
    with store.pinned(step.key for step in plan.steps):  # a `farm gc` at the same time must leave them
        work = functools.partial(running.carry_out, plan, loaded, store, settings, jobs=args.jobs, quiet=args.json)
        if args.broker:
            work = functools.partial(fleeting.carry_out, args, plan, store, settings)
        result, published = (work(), "") if args.no_publish else running.published_whole(work, store, settings)
    if result.ok and not args.json:
        served = [] if args.no_publish else [settings.index / STAGING]  # after a rollback there is something to publish
        done = result.artifacts
        notes = wanted.notes(plan, done)
        wanted.remember(
            args, settings, loaded, plan, store, done.values(), started_ns=started_ns, inputs=served, notes=notes
        )
    if not result.ok:
        telling.tell_from(settings)
    if args.json:
        print_json(_document(plan, result, published))
    else:
        _conclude(plan, result, published, (time.time_ns() - started_ns) / 1e9, fleet_options.again(args))
    return _exit_code(result)


def _conclude(plan: Plan, result: RunResult, published: str, seconds: float, fleet: str) -> None:
    from farm.model.events import State

    notes = wanted.notes(plan, result.artifacts)
    built, cached = len(result.having(State.BUILT)), len(result.having(State.CACHED))
    if result.ok and not built:
        print(quick.text(len(plan.steps), notes))
    else:
        for line in notes:
            print(line)
        print(f"{built} built, {cached} up to date, {len(plan.steps) - built - cached} not built")
        print(f"took {human_seconds(seconds)}")
    if published:
        print(f"published as {published}")
    failure.explain_all(result, fleet=fleet)


def _exit_code(result: RunResult) -> int:
    from farm.model.events import State

    if result.ok:
        return 0
    failed = [outcome.error for outcome in result.having(State.FAILED) if outcome.error is not None]
    gate = next((error for error in failed if isinstance(error, GateError)), None)
    first = gate or next(iter(failed), FarmError("not every step could be built"))
    return first.exit_code


def _document(plan: Plan, result: RunResult, published: str) -> dict[str, object]:
    keys = {step.id: step.key for step in plan.steps}
    return {
        "ok": result.ok,
        "published": published,
        "steps": [
            {
                "step": outcome.step,
                "key": keys[outcome.step],
                "state": outcome.state.value,
                "seconds": round(outcome.seconds, 3),
                "message": outcome.message,
                "log": str(outcome.log) if outcome.log else None,
                "wheel": outcome.artifact.filename if outcome.artifact else None,
                "sha256": outcome.artifact.sha256 if outcome.artifact else None,
                "rebound": outcome.artifact is not None and outcome.artifact.key != keys[outcome.step],
            }
            for outcome in result.outcomes.values()
        ],
        "impossible": wanted.impossible_rows(plan.impossible),
    }
