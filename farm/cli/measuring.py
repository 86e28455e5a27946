"""From ``gmp@6.3.0`` to its measured ABI: build what it needs, then measure, with progress."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from farm.errors import BuildError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from farm.catalog import Catalog
    from farm.model.abi import Abi
    from farm.model.plan import Plan, Step
    from farm.settings import Settings


def abi_of(text: str, platform: str | None, loaded: Catalog, settings: Settings, *, quiet: bool) -> Abi:
    """The ABI of a release, which may be retired, on a platform (None: this machine's own).

    Raises UsageError for what is no library's release, BuildError if it, or what it needs, cannot be built.
    """
    from farm import measure
    from farm.catalog import retired
    from farm.store import home

    home.prepare(settings.home)
    loaded = retired.for_release(loaded, text)
    plan, step = _step(text, platform, loaded)
    measure.require_tools(loaded.toolchains[step.platform])
    deps = _needed(plan, step, loaded, settings, quiet=quiet)

    def report(phase: str) -> None:
        if not quiet:
            print(f"  {step.id} (for its ABI): {phase}", file=sys.stderr)

    return measure.measured(step, loaded, deps, settings, settings.logs / f"{step.key}.abi.log", report)


def check(texts: Sequence[str], platform: str | None, loaded: Catalog) -> None:
    """Before the first of some releases is measured, which may take long: raise UsageError for one that cannot be."""
    from farm.catalog import retired

    for text in texts:
        _step(text, platform, retired.for_release(loaded, text))


def steps_of(text: str, platforms: Sequence[str], loaded: Catalog) -> tuple[Plan, list[Step]]:
    """A plan of a library's release, and its own steps in that, one for each of the platforms where it can be built.

    Raises UsageError for what is no library's release.
    """
    from farm.cli import wanted

    name = loaded.providers.get(text.partition("@")[0], "")
    if name and loaded.recipes[name].recipe.kind != "library":
        raise UsageError(f"{name} is no library, so it has no ABI", fix='name a recipe with kind = "library"')
    plan = wanted.make_plan(loaded, recipes=[text], platforms=platforms)
    newest = {step.platform: step for step in plan.steps if step.recipe == name}
    return plan, list(newest.values())


def _step(text: str, platform: str | None, loaded: Catalog) -> tuple[Plan, Step]:
    from farm.cli import wanted

    platforms = [platform] if platform else list(wanted.own_platforms(loaded))
    plan, steps = steps_of(text, platforms, loaded)
    if not steps:
        raise UsageError(f"{text} cannot be built for {', '.join(platforms)}", fix="name another --platform")
    if steps[1:]:
        several = ", ".join(step.platform for step in steps)
        raise UsageError(f"an ABI is of one platform, not of {several}", where="--platform", fix="name one of them")
    return plan, steps[0]


def _needed(plan: Plan, step: Step, loaded: Catalog, settings: Settings, *, quiet: bool) -> dict[str, Path]:
    """The native wheels that a step is built against, built if they are not there."""
    from farm.cli import failure, running
    from farm.model.plan import Plan as PlanOf
    from farm.store.artifacts import open_store

    store = open_store(settings)
    if step.requires:
        needed = PlanOf(steps=tuple(s for s in plan.steps if s.id != step.id))
        result = running.carry_out(needed, loaded, store, settings, jobs=1, quiet=quiet)
        if not result.ok:
            failure.explain_all(result)
            raise BuildError(f"what {step.id} is built against could not be built", fix="see above")
    return running.stored_deps(plan, step, store)
