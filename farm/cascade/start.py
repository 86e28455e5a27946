"""Starting a cascade, and planning one anew: from catalogs to what is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from farm.bump.catalogs import Bump, parse_bumps, plans
from farm.cascade.catalogs import Catalogs
from farm.cascade.draft import Known, Request, draft, part
from farm.errors import NothingToDoError, UsageError
from farm.index.reading import check_offered
from farm.model.cascade import Cascade, Draft, Scope
from farm.model.plan import Plan
from farm.model.rework import Rework
from farm.store import frozen

if TYPE_CHECKING:
    from farm.catalog.values import Catalog
    from farm.index.generations import Index
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

PlanOf = Callable[["Catalog", Scope], Plan]
"""The plan of a catalog for some platforms, Pythons and recipes: the same as `farm plan` makes."""
ReworkOf = Callable[["Catalog", Plan, Plan], Rework]
"""What it takes to get from a plan before a change to one after it; the catalog is the one after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Plans cascades and writes them down."""

    settings: Settings
    store: Store
    ledger: Ledger
    index: Index
    catalogs: Catalogs
    plan_of: PlanOf
    rework_of: ReworkOf

    def start(self, request: Request, after: Path, before: Path | None) -> Cascade:
        """Freeze the catalog after a change (and the one before it, if it is known), plan, and write the cascade down:
        all of it or nothing. Without `before`, what the channel's last cascade was planned from counts as before.

        Raises NothingToDoError, CatalogError, PlanError, StoreError, IndexFormatError for a channel that is none.
        """
        check_offered(request.channel)
        new = frozen.freeze(self.settings, after)
        old = frozen.freeze(self.settings, before) if before else self._last_catalog(request.channel)
        return self.ledger.create_cascade(self._draft(request, new, old))

    def replan(self, cascade: Cascade, after: str, before: str) -> Draft:
        """Plan an unfinished cascade anew for other frozen catalogs, on what its channel serves now."""
        request = Request(
            kind=cascade.kind,
            what=cascade.what,
            channel=cascade.channel,
            reason=cascade.reason,
            priority=cascade.priority,
            scope=cascade.scope,
        )
        return self._draft(request, after, before)

    def _draft(self, request: Request, after: str, before: str) -> Draft:
        new = self.catalogs.named(after)
        earlier, plan = self._plans(new, before, request)
        known = Known(
            stored=lambda key: bool(self.store.known([key])),
            durations=self.ledger.durations(),
        )
        rework = self.rework_of(new, earlier, plan)
        if not rework.tasks:
            raise NothingToDoError(
                f"{request.what}: there is nothing to do, all wheels are as they should be",
                where="farm cascade start",
                fix="change a recipe or a toolchain first: a new release, a patch, a higher `revision`",
            )
        made = draft(
            request,
            rework,
            before=earlier,
            after=plan,
            known=known,
            catalog=after,
            earlier=before or after,
            base=self.index.current_number(request.channel),
        )
        self.ledger.record_plan(made.steps)
        return made

    def _plans(self, new: Catalog, before: str, request: Request) -> tuple[Plan, Plan]:
        """The plans before and after the change. Before a bump there was all but the release; else it is the plan of
        the catalog before, or if that is not known what the channel serves."""
        scope = request.scope
        if scope.bumps:
            return plans(
                new,
                known_bumps(scope.bumps, new),
                lambda catalog, names: self.plan_of(catalog, replace(scope, recipes=tuple(names))),
                scope.recipes,
            )
        plan = self.plan_of(new, scope)
        if before:
            return self._but_fenced(self.plan_of(self.catalogs.named(before), scope), request.channel), plan
        return part(plan, self._served(plan, request.channel)), plan

    def _but_fenced(self, plan: Plan, channel: str) -> Plan:
        """A plan without what a cascade was to make and left out, whose fence is over: the channel serves older wheels
        of that. What waits is made then, though no input of it changed since."""
        over = {
            fence.recipe
            for cascade in self._promoted(channel)
            for fence in self.ledger.fences(cascade.id)
            if fence.until <= datetime.now(UTC)
        }
        if not over:
            return plan
        is_served = self._served(plan, channel)
        gone = {step.key for step in plan.steps if step.recipe in over and not is_served(step.key)}
        return replace(part(plan, lambda key: key not in gone), impossible=plan.impossible)

    def _served(self, plan: Plan, channel: str) -> Callable[[str], bool]:
        """Whether a channel serves the wheel of a key of a plan."""
        current = self.index.current(channel)
        served = {file.sha256 for file in self.index.files_in(current)} if current else set()
        known = self.store.known(step.key for step in plan.steps)
        return lambda key: key in known and known[key].sha256 in served

    def _promoted(self, channel: str) -> list[Cascade]:
        """The cascades that brought what a channel serves; not those that it was rolled back from."""
        current = self.index.current_number(channel)
        return [c for c in self.ledger.cascades() if c.channel == channel and 0 < c.promoted <= current]

    def _last_catalog(self, channel: str) -> str:
        """The frozen catalog of what a channel serves, if a cascade brought it; else empty."""
        last = max(self._promoted(channel), key=lambda cascade: cascade.promoted, default=None)
        return last.catalog if last is not None and (frozen.folder(self.settings) / last.catalog).is_dir() else ""


def known_bumps(texts: Sequence[str], catalog: Catalog) -> list[Bump]:
    """Bumps to releases that the recipes have. Raises UsageError."""
    bumps = parse_bumps(texts, catalog)
    for bump in bumps:
        if not bump.known:
            raise UsageError(
                f"{bump.recipe} has no release {bump.version}",
                where=f"recipes/{bump.recipe}/recipe.toml",
                fix=f"add it first: `farm recipe bump {bump.recipe}={bump.version}`",
            )
    return bumps
