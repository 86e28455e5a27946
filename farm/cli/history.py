"""What the verbs that look back share: opening a ledger that may not be there, and finding the step a person means."""

from __future__ import annotations

import contextlib
import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import wanted
from farm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from farm.model.finding import Finding
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.ledger import Ledger
    from farm.store.records import Attempt

AUDIT = "audit"  # phase of a try, kind of a verdict, gate of findings
REPRODUCIBLE = "reproducible"  # kind of a verdict: a second build came to the same bytes
_KEY = 8  # characters of a key that are enough to mean it


@contextlib.contextmanager
def ledger_if_any(settings: Settings) -> Iterator[Ledger | None]:
    """The ledger, or None if nothing was ever built here: looking back must not create one."""
    database = settings.ledger
    if isinstance(database, Path) and not database.exists():
        yield None
        return
    from farm.store.ledger import Ledger

    with Ledger.open(database) as ledger:
        yield ledger


def make_plan(
    settings: Settings, *, recipes: Sequence[str] = (), platforms: Sequence[str] = (), pythons: Sequence[str] = ()
) -> Plan:
    """The plan of `farm plan` with these arguments. Raises CatalogError, PlanError, UsageError."""
    from farm import catalog

    return wanted.make_plan(catalog.load(settings), recipes=recipes, platforms=platforms, pythons=pythons)


def find_steps(plan: Plan, text: str) -> tuple[Step, ...]:
    """The steps a person means: a full id, a slot, a recipe, the beginning of one, or a glob of ids.

    Raises UsageError if there is none.
    """
    for same in (_is_named, _is_recipe, _begins, _matches):
        if found := tuple(step for step in plan.steps if same(step, text)):
            return found
    raise unknown(text, [step.id for step in plan.steps])


def _is_named(step: Step, text: str) -> bool:
    return text in (step.id, step.slot)


def _is_recipe(step: Step, text: str) -> bool:
    return text in (step.recipe, f"{step.recipe}@{step.version}")


def _begins(step: Step, text: str) -> bool:
    return step.id.startswith(text) or step.slot.startswith(text) or (len(text) >= _KEY and step.key.startswith(text))


def _matches(step: Step, text: str) -> bool:
    return fnmatch.fnmatchcase(step.id, text)


def unknown(text: str, ids: Sequence[str]) -> UsageError:
    """There is no such step; `ids` are those there are."""
    import difflib

    names = sorted({id_.partition("@")[0] for id_ in ids})
    close = difflib.get_close_matches(text, [*names, *ids], n=3)
    fix = f"did you mean {' or '.join(close)}?" if close else "`farm plan --all --platform '*'` lists the steps"
    return UsageError(f"there is no step {text!r}", where="STEP", fix=fix)


def findings_of(ledger: Ledger, attempt: Attempt | None) -> tuple[Finding, ...]:
    """What the audit found in this newest try of a step; nothing if the try did not come so far."""
    return ledger.findings_of(attempt.key) if attempt is not None and attempt.phase == AUDIT else ()


def when(moment: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
