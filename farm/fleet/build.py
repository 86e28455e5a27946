"""Carrying out orders to build: the step is planned anew from the signed catalog, and built if its key is the same."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
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
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.workers.step import RunStep, StepCancel, StepRunner

if TYPE_CHECKING:
    from farm.catalog.values import Catalog
    from farm.store.ledger import Ledger

_KEPT_CATALOGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDoer:
    """Builds steps as `farm build` does on one machine. `make` gives what builds the steps of a catalog."""

    settings: Settings
    store: Store
    ledger: Ledger
    findings: Callable[[Step, tuple[Finding, ...]], None]
    make: Callable[[BuildDoer, Catalog], RunStep] = field(default=lambda self, catalog: self.pipeline(catalog))
    _catalogs: dict[str, Catalog] = field(default_factory=dict)
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict)

    def __call__(self, order: Order, cancel: StepCancel, tell: Listener, /) -> Done:
        """See `Doer`."""
        found = self._catalog(order.catalog)
        plan = self._plan(order, found)
        step = plan.by_id().get(order.step)
        if step is None or step.key != order.key:
            raise FleetError(
                "this farm gives the step another key" if step else "this farm's plan has no such step",
                where=f"{order.step} on {socket.gethostname()}",
                fix="let workers and whoever asks them run the same version of the farm",
            )
        artifact = self.store.get(step.key)
        if artifact is not None:
            self.ledger.record_artifacts([artifact])
            return Done(ok=True, said={"state": State.CACHED.value})
        runner = StepRunner(self.make(self, found), self.ledger, self.settings.logs, tell)
        outcome, bug = runner.run(step, self._deps(plan, step), cancel)
        error = bug or outcome.error
        said = {"state": outcome.state.value, "seconds": round(outcome.seconds, 3), "host": socket.gethostname()}
        if outcome.artifact is None:
            said |= failure(error or FarmError(outcome.message), outcome.message) | {"state": outcome.state.value}
        return Done(ok=outcome.artifact is not None, said=said, error=error)

    def pipeline(self, catalog: Catalog) -> RunStep:
        """The farm's own way to build."""
        return Pipeline(catalog=catalog, store=self.store, settings=self.settings, findings=self.findings)

    def _catalog(self, digest: str) -> Catalog:
        if digest not in self._catalogs:
            while len(self._catalogs) >= _KEPT_CATALOGS:
                gone = next(iter(self._catalogs))
                del self._catalogs[gone]
                for name in [name for name in self._plans if name[0] == gone]:
                    del self._plans[name]
            self._catalogs[digest] = catalog.load_from(bundle.place(digest, self.store, self.settings))
        return self._catalogs[digest]

    def _plan(self, order: Order, found: Catalog) -> Plan:
        name, platform, *python = order.step.split("/")
        if (order.catalog, order.step) not in self._plans:
            pythons = [f"{tag[2]}.{tag[3:]}" for tag in python]
            plan = planning.make_plan(found, recipes=[name], platforms=[platform], pythons=pythons)
            self._plans[order.catalog, order.step] = plan
        return self._plans[order.catalog, order.step]

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
