"""What a release is held to where its recipe pins no ABI: what the wheel of the release before it exports."""

from __future__ import annotations

from collections.abc import Iterator

from farm import measure
from farm.build import planning
from farm.catalog.values import Catalog
from farm.gates import abi
from farm.model.abi import Abi
from farm.model.finding import Finding, Severity
from farm.model.plan import Step
from farm.plan.epochs import older_in_epoch
from farm.store.artifacts import Store


def judge(step: Step, found: Abi, catalog: Catalog, store: Store) -> tuple[Finding, ...]:
    """What is to be said of a build's exports against those of the newest older release of its ABI epoch whose wheel is
    stored. A warning if there are older releases and none of them is."""
    older = older_in_epoch(catalog.recipes[step.recipe].recipe, step.version)
    if not older:
        return ()
    before = next(_exports(step, reversed(older), catalog, store), None)
    return (_unknown(step, older[-1]),) if before is None else abi.judge(before, found)


def _exports(step: Step, versions: Iterator[str], catalog: Catalog, store: Store) -> Iterator[Abi]:
    recipe = catalog.recipes[step.recipe].recipe
    for version in versions:
        plan = planning.make_plan(catalog, recipes=[f"{recipe.name}@{version}"], platforms=[step.platform])
        for other in plan.steps:
            artifact = store.get(other.key) if (other.recipe, other.version) == (recipe.name, version) else None
            if artifact is not None:
                yield measure.exports_of_wheel(other, store.path(artifact), recipe)


def _unknown(step: Step, older: str) -> Finding:
    return Finding(
        check=abi.CHECK,
        severity=Severity.WARNING,
        file=step.recipe,
        fact=f"nothing says whether {step.version} keeps the ABI of {older}: no pin, and no stored wheel",
        fix=f"farm abi accept {step.recipe}@{older}",
    )
