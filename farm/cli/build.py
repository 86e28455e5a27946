"""Build recipes and all they need, check them, and publish them to the staging channel.

What is in the store already is not built again; `farm why STEP` says why something is. An interrupted or killed build
goes on where it stopped when the same command is run again.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from farm.cli import quick, wanted
from farm.cli.history import AUDIT
from farm.cli.output import human_seconds, print_json
from farm.errors import BinaryFormatError, BuildError, FarmError, GateError, IndexFormatError, UsageError
from farm.index.contents import STAGING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from farm.catalog import Catalog
    from farm.model.finding import Finding
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger
    from farm.workers.result import RunResult, StepOutcome

TAIL_LINES = 20
FREE = 300 * 10**6  # bytes without which not even a small step can be built: sources, compiler cache, wheel

EPILOG = """examples:
  farm build gmpy2                              gmpy2 and the native wheels it needs
  farm build --platform 'manylinux*' --jobs 2   every recipe for these platforms, two steps at a time
  farm build gmp --no-sandbox                   where bubblewrap cannot be had; less is guaranteed
  pip install --index-url file://$FARM_HOME/index/staging/simple gmpy2
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    wanted.configure(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="steps at once; each uses its share of cores")
    parser.add_argument("--no-publish", action="store_true", help="leave the staging channel as it is")
    parser.add_argument("--no-sandbox", action="store_true", help="build without bubblewrap: nothing is hidden")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of progress")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build; exits with the code of the first failure, 0 if every step is there."""
    started_ns = time.time_ns()
    if args.jobs < 1:
        raise UsageError(f"{args.jobs} jobs cannot work", where="--jobs", fix="give 1 or more")
    from farm import catalog
    from farm.store import home
    from farm.store.artifacts import Store

    loaded = catalog.load(settings)
    plan = wanted.plan_of(args, loaded, settings)
    home.prepare(settings.home)  # refuses a directory of somebody else before anything is written to it
    store = Store(settings.store)
    with store.pinned(step.key for step in plan.steps):  # a `farm gc` at the same time must leave them
        work = functools.partial(carry_out, plan, loaded, store, settings, jobs=args.jobs, quiet=args.json)
        result, published = (work(), "") if args.no_publish else published_whole(work, store, settings)
    if result.ok and not args.json:
        served = [] if args.no_publish else [settings.index / STAGING]  # after a rollback there is something to publish
        done = result.artifacts.values()
        notes = wanted.impossible_lines(plan)
        wanted.remember(args, settings, loaded, plan, store, done, started_ns=started_ns, inputs=served, notes=notes)
    if args.json:
        print_json(_document(plan, result, published))
    else:
        _conclude(plan, result, published, (time.time_ns() - started_ns) / 1e9)
    return _exit_code(result)


def carry_out(
    plan: Plan, catalog: Catalog, store: Store, settings: Settings, *, jobs: int, quiet: bool = False
) -> RunResult:
    """Run a plan with progress on stdout (unless `quiet`)."""
    from farm.cli.progress import progress
    from farm.pipeline import Pipeline
    from farm.store import home
    from farm.store.ledger import Ledger
    from farm.workers.local import run_plan

    if any(store.get(step.key) is None for step in plan.steps):
        home.require_free(settings.work, FREE)
    open_ledger = functools.cache(lambda: Ledger.open(settings.ledger))
    share = replace(settings, cores=max(1, settings.cores // jobs))
    pipeline = Pipeline(catalog=catalog, store=store, settings=share, findings=_recorder(open_ledger))
    with progress(len(plan.steps), quiet=quiet) as listener:
        return run_plan(
            plan, pipeline, store=store, ledger=open_ledger, jobs=jobs, listener=listener, logs=settings.logs
        )


def _recorder(open_ledger: Callable[[], Ledger]) -> Callable[[Step, tuple[Finding, ...]], None]:
    """Writes the audit's findings and verdict down, for `farm status`."""
    from farm.model.finding import Severity
    from farm.model.outcome import Outcome

    def record(step: Step, findings: tuple[Finding, ...]) -> None:
        ledger = open_ledger()
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        outcome, reason = Outcome.PASSED, ""
        if errors:
            count = "1 error" if len(errors) == 1 else f"{len(errors)} errors, first"
            outcome, reason = Outcome.FAILED, f"{count}: {errors[0].file}: {errors[0].fact}"
        ledger.record_findings(step.key, AUDIT, findings)
        ledger.record_verdict(step.key, AUDIT, outcome, reason=reason)

    return record


def publish(result: RunResult, store: Store, settings: Settings) -> str:
    """Put what was built into the staging channel, in one new generation; its name, or nothing if none is needed."""
    from farm.index.contents import IndexFile
    from farm.index.generations import Index

    files = [IndexFile(path=store.path(a), sha256=a.sha256) for a in result.artifacts.values()]
    if not files:
        return ""
    return Index(settings.index).publish(STAGING, files, comment="farm build", replace=True).name


def published_whole(work: Callable[[], RunResult], store: Store, settings: Settings) -> tuple[RunResult, str]:
    """Build, then publish. What publishing finds damaged in the store counts as not built: it is built once more."""
    result = work()
    try:
        return result, publish(result, store, settings)
    except (BinaryFormatError, IndexFormatError):
        damaged = [artifact for artifact in result.artifacts.values() if not store.verify(artifact)]
        if not damaged:
            raise
    result = work()
    return result, publish(result, store, settings)


def _conclude(plan: Plan, result: RunResult, published: str, seconds: float) -> None:
    from farm.model.events import State

    notes = wanted.impossible_lines(plan)
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
    for outcome in result.having(State.FAILED):
        explain_failure(outcome)


def explain_failure(outcome: StepOutcome) -> None:
    """What failed, the end of its log, and how to look closer."""
    said = str(outcome.message or outcome.error).removeprefix(f"{outcome.step}: ")
    show = [f"\n{outcome.step} failed: {said}"]
    tail = _tail(outcome)
    if tail:
        what = f"last {len(tail)} lines of its log:" if len(tail) > 1 else "last line of its log:"
        show += [what, *(f"  | {line}" for line in tail)]
    recipe = outcome.step.partition("@")[0]
    platform = outcome.step.split("/")[1]
    if outcome.log is not None:
        show.append(f"log:     {outcome.log}")
    show.append(f"inside:  farm shell {outcome.step}")
    show.append(f"again:   farm build {recipe} --platform {platform}")
    print("\n".join(show), file=sys.stderr)


def _tail(outcome: StepOutcome) -> Sequence[str]:
    if isinstance(outcome.error, BuildError) and outcome.error.tail:
        return outcome.error.tail[-TAIL_LINES:]
    if outcome.log is None or not outcome.log.exists():
        return ()
    return outcome.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]


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
            }
            for outcome in result.outcomes.values()
        ],
        "impossible": wanted.impossible_rows(plan),
    }
