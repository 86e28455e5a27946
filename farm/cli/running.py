"""Carry out a plan for a verb: with progress, verdicts in the ledger, and wheels in the staging channel."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from farm.cli.history import AUDIT
from farm.errors import BinaryFormatError, IndexFormatError, UsageError
from farm.index.contents import STAGING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from farm.catalog import Catalog
    from farm.model.finding import Finding
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger
    from farm.workers.result import RunResult

FREE = 300 * 10**6  # bytes without which not even a small step can be built: sources, compiler cache, wheel


def carry_out(
    plan: Plan, catalog: Catalog, store: Store, settings: Settings, *, jobs: int, quiet: bool = False
) -> RunResult:
    """Run a plan with progress on stdout (unless `quiet`)."""
    from farm.cli.progress import progress
    from farm.pipeline import Pipeline
    from farm.store import home
    from farm.store.ledger import Ledger
    from farm.workers.local import run_plan

    if len(store.known(step.key for step in plan.steps)) < len({step.key for step in plan.steps}):
        home.require_free(settings.work, FREE)
    open_ledger = functools.cache(lambda: Ledger.open(settings.ledger))
    share = replace(settings, cores=max(1, settings.cores // jobs))
    pipeline = Pipeline(catalog=catalog, store=store, settings=share, findings=recorder(open_ledger))
    with progress(len(plan.steps), quiet=quiet) as listener:
        return run_plan(
            plan, pipeline, store=store, ledger=open_ledger, jobs=jobs, listener=listener, logs=settings.logs
        )


def recorder(open_ledger: Callable[[], Ledger]) -> Callable[[Step, tuple[Finding, ...]], None]:
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

    artifacts = result.artifacts.values()
    files = [IndexFile(path=store.path(a), sha256=a.sha256) for a in artifacts]
    if not files:
        return ""
    spared = {artifact.filename for artifact in store.stood_in(a.key for a in artifacts)}  # until it was built
    index = Index(settings.index)
    return index.publish(STAGING, files, comment="farm build", replace=True, dropped=spared).name


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


def stored_deps(plan: Plan, step: Step, store: Store) -> dict[str, Path]:
    """The stored wheels that a step is built against. Raises UsageError if one is not built yet."""
    steps = plan.by_id()
    wheels = {}
    for id_ in step.requires:
        artifact = store.get(steps[id_].key)
        if artifact is None:
            raise UsageError(f"{step.id} is built against {id_}, which is not built yet", fix=f"farm build {id_}")
        wheels[id_] = store.path(artifact)
    return wheels
