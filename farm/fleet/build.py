"""Carrying out orders to build: the step is planned anew from the signed catalog, and built if its key is the same."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from farm import catalog
from farm.build import planning
from farm.errors import FarmError, FleetError
from farm.fleet import bundle
from farm.fleet.doing import Done, failure
from farm.fleet.order import Order
from farm.model.artifact import Artifact
from farm.model.events import Listener, State
from farm.model.finding import Finding
from farm.model.plan import Plan, Step
from farm.pipeline import Pipeline
from farm.plan.requirements import python_version
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.workers.step import RunStep, StepCancel, StepRunner, patiently

if TYPE_CHECKING:
    from farm.catalog.values import Catalog
    from farm.store.ledger import Ledger

_KEPT_CATALOGS = 4
_KEPT_PLANS = 1000

PlanOf = Callable[[Order], tuple[Plan, Step | None, RunStep]]
"""The plan that a worker makes of an order, the order's step in it (None: there is none), and what builds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDoer:
    """Builds steps as a run on one machine does: attempts, retries, artifacts in the ledger (see `Doer`)."""

    store: Store
    ledger: Ledger
    logs: Path
    plan_of: PlanOf

    def __call__(self, order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
        """Raises FleetError if this worker may not, or cannot, build what is ordered."""
        plan, step, run_step = self.plan_of(order)
        if step is None or step.key != order.key:
            raise FleetError(
                "this farm gives the step another key" if step else "this farm's plan has no such step",
                where=f"{order.step} on {socket.gethostname()}",
                fix="let workers and whoever asks them run the same version of the farm",
            )
        artifact = self.store.built(step.key)  # whoever orders a build knows what stands in, and wants none of it
        if artifact is not None:
            patiently(lambda: self.ledger.record_artifacts([artifact]), cancel)
            return Done(ok=True, said={"state": State.CACHED.value})
        runner = StepRunner(run_step, self.ledger, self.logs, tell, store=self.store)
        keys = {each.id: each.key for each in plan.steps}
        with self.store.pinned_here([step.key, *(keys[id_] for id_ in step.requires)]):  # no cache limit takes them
            outcome, bug = runner.run(step, self._deps(plan, step), cancel)
        error = bug or outcome.error
        said = {"state": outcome.state.value, "seconds": round(outcome.seconds, 3), "host": socket.gethostname()}
        if outcome.artifact is None:
            said |= failure(error or FarmError(outcome.message), outcome.message) | {"state": outcome.state.value}
        return Done(ok=outcome.artifact is not None, said=said, error=error)

    def _deps(self, plan: Plan, step: Step) -> dict[str, Artifact]:
        steps, found = plan.by_id(), {}
        for id_ in step.requires:
            artifact = self.store.get(steps[id_].key)
            if artifact is None or not self.store.verify(artifact):
                raise FleetError(
                    f"it is built against {id_}, which is not in this worker's store",
                    where=step.id,
                    fix="give all workers the same store (FARM_STORE, docs/fleet.md), then build again",
                )
            found[id_] = artifact
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Plans orders from the catalogs that they name, which come through the store (a `PlanOf`)."""

    settings: Settings
    store: Store
    findings: Callable[[Step, tuple[Finding, ...]], None]
    _catalogs: dict[str, Catalog] = field(default_factory=dict)
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict)

    def __call__(self, order: Order) -> tuple[Plan, Step | None, RunStep]:
        """Raises FleetError, CatalogError, PlanError, StoreError."""
        found = self.catalog(order.catalog)
        plan = self._plan(order, found)
        pipeline = Pipeline(catalog=found, store=self.store, settings=self.settings, findings=self.findings)
        return plan, plan.by_id().get(order.step), pipeline

    def catalog(self, digest: str) -> Catalog:
        """A catalog by the hash of its bundle. Its files are had, and marked as used, each time: patches are read when
        a step is built, and `farm gc` may have taken away what this process has read long ago."""
        root = bundle.place(digest, self.store, self.settings)
        if digest not in self._catalogs:
            while len(self._catalogs) >= _KEPT_CATALOGS:
                del self._catalogs[next(iter(self._catalogs))]
            self._catalogs[digest] = catalog.load_from(root)
        return self._catalogs[digest]

    def _plan(self, order: Order, found: Catalog) -> Plan:
        """The step, with all it needs: no key depends on what else is planned."""
        if (order.catalog, order.step) not in self._plans:
            while len(self._plans) >= _KEPT_PLANS:
                del self._plans[next(iter(self._plans))]
            name, platform, *python = order.step.split("/")
            pythons = [python_version(tag) for tag in python]
            plan = planning.make_plan(found, recipes=[name], platforms=[platform], pythons=pythons)
            self._plans[order.catalog, order.step] = plan
        return self._plans[order.catalog, order.step]
