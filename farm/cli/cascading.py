"""What the actions of `farm cascade` work with, put together once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import running, wanted
from farm.cli.output import human_seconds
from farm.errors import UsageError
from farm.model.cascade import AT_WORK, Cascade, CascadeState, Scope, TaskState

if TYPE_CHECKING:
    import argparse

    from farm.cascade.advance import Advanced, TaskEvent
    from farm.cascade.catalogs import Catalogs
    from farm.cascade.doing import FarmHands
    from farm.cascade.promote import Promoter
    from farm.cascade.start import Starter
    from farm.cascade.summary import Report
    from farm.catalog import Catalog
    from farm.index.generations import Index
    from farm.model.plan import Plan
    from farm.model.rework import Rework
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

_WORDS = {"began": "begins", "reused": "was done before", "retries": "is tried again later", "lost": "went elsewhere"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The parts of a farm that cascades need."""

    settings: Settings
    store: Store
    ledger: Ledger
    index: Index
    catalogs: Catalogs

    @property
    def starter(self) -> Starter:
        """Plans cascades."""
        from farm.cascade.start import Starter

        return Starter(
            settings=self.settings,
            store=self.store,
            ledger=self.ledger,
            index=self.index,
            catalogs=self.catalogs,
            plan_of=self.plan_of,
            rework_of=self.rework_of,
        )

    @property
    def promoter(self) -> Promoter:
        """Stages, promotes, rolls back."""
        from farm.cascade.importing import GenerationImporter
        from farm.cascade.promote import Promoter
        from farm.cascade.stage import Stager

        importer = GenerationImporter(
            settings=self.settings, ledger=self.ledger, store=self.store, index=self.index, catalogs=self.catalogs
        )
        stager = Stager(
            ledger=self.ledger,
            store=self.store,
            index=self.index,
            toolchains=lambda cascade: list(self.catalogs.of(cascade).toolchains.values()),
            importer=importer,
        )
        return Promoter(
            settings=self.settings,
            ledger=self.ledger,
            index=self.index,
            stager=stager,
            replan=self.starter.replan,
        )

    def plan_of(self, catalog: Catalog, scope: Scope) -> Plan:
        """As `farm plan` makes it, with the newest releases that dependents are tested with."""
        return wanted.make_plan(catalog, recipes=scope.recipes, platforms=scope.platforms, pythons=scope.pythons)

    def rework_of(self, catalog: Catalog, before: Plan, after: Plan) -> Rework:
        """What the change needs."""
        from farm.bump import facts

        found, _ = facts.decide(before, after, catalog, self.settings, facts.seconds_of(self.ledger))
        return found

    def advance(self, id_: int, args: argparse.Namespace) -> Advanced:
        """Carry out what can be carried out now, here or (`args.broker`) by a fleet, then stage if it is all done."""
        from farm.cascade.advance import Advance
        from farm.cli import fleeting

        quiet = args.json
        promoter = self.promoter
        promoter.lift_overdue(id_)
        cascade = promoter.notice(self.ledger.cascade(id_))
        jobs = args.jobs or (fleeting.TASKS_AT_ONCE if args.broker else 1)
        share = self.settings if args.broker else replace(self.settings, cores=max(1, self.settings.cores // jobs))
        own = self.hands(share)
        tell = (
            Lines(self.ledger.progress(id_))
            if not quiet and cascade.state in {*AT_WORK, CascadeState.BLOCKED}
            else _silent
        )
        with fleeting.task_hands(args, own) if args.broker else nullcontext(own) as hands:
            ended = Advance(cascade, ledger=self.ledger, hands=hands, jobs=jobs, tell=tell).to_the_end()
        if ended.cascade.state is CascadeState.TESTING and not self.ledger.open_verbs(id_):
            staged = promoter.stage_in_turn(id_, begins=_silent if quiet else _say_staging)
            ended = replace(ended, cascade=staged or self.ledger.cascade(id_), staged_elsewhere=staged is None)
        return ended

    def hands(self, settings: Settings) -> FarmHands:
        """What carries out tasks on this machine."""
        from farm.cascade.doing import FarmHands

        return FarmHands(
            settings=settings,
            store=self.store,
            ledger=self.ledger,
            catalogs=self.catalogs,
            findings=running.recorder(lambda: self.ledger),
        )

    def report(self, cascade: Cascade, *, everything: bool = False) -> Report:
        """A cascade with all that is to be said."""
        from farm.cascade.summary import gathered

        return gathered(self.ledger, cascade, everything=everything)


@contextmanager
def rooms(settings: Settings) -> Iterator[Rooms]:
    """Open FARM_HOME for cascades. Raises StoreError."""
    from farm.cascade.catalogs import Catalogs
    from farm.index.generations import Index
    from farm.store import home
    from farm.store.artifacts import open_store
    from farm.store.ledger import Ledger

    home.prepare(settings.home)
    with Ledger.open(settings.ledger) as ledger:
        yield Rooms(
            settings=settings,
            store=open_store(settings),
            ledger=ledger,
            index=Index(settings.index),
            catalogs=Catalogs(settings=settings),
        )


class Lines:
    """A line for each thing that happens to a task, with how many are done."""

    def __init__(self, progress: object) -> None:
        from farm.model.cascade import Progress

        assert isinstance(progress, Progress)
        self._total = progress.total
        self._done = progress.having(TaskState.DONE)

    def __call__(self, event: TaskEvent) -> None:
        """Print it."""
        if event.what in ("passed", "reused", "not run"):
            self._done += 1
        took = f" in {human_seconds(event.seconds)}" if event.what in ("passed", "failed") else ""
        first = event.message.partition("\n")[0]
        why = f": {first}" if first else ""
        print(
            f"[{self._done}/{self._total}] {event.task.id} {_WORDS.get(event.what, event.what)}{took}{why}", flush=True
        )


def _silent(event: TaskEvent | None = None) -> None:
    del event


def _say_staging() -> None:
    print("  staging: which installs can be resolved, what can be imported", flush=True)


def scope_of(
    platforms: list[str],
    pythons: list[str],
    catalog: Catalog,
    recipes: tuple[str, ...] = (),
    bumps: tuple[str, ...] = (),
    suites: tuple[str, ...] = (),
) -> Scope:
    """What is asked for, said so that it means the same on every machine that advances the cascade. Raises UsageError
    for a platform or a Python that is not known."""
    from farm.build import planning
    from farm.plan import selection
    from farm.plan.requirements import python_version

    chosen = tuple(platforms) or tuple(wanted.own_platforms(catalog))
    versions = tuple(pythons) or (python_version(wanted.own_python()),)
    selection.wanted_platforms(catalog, chosen)
    planning.check_pythons(catalog, [selection.python_tag(version) for version in versions])
    return Scope(platforms=chosen, pythons=versions, recipes=recipes, bumps=bumps, suites=suites)


def catalog_place(settings: Settings) -> Path:
    """The catalog that a cascade is started from. Raises UsageError if there is none."""
    if not settings.recipes.is_dir():
        raise UsageError("there is no catalog here", where=str(settings.catalog), fix="cd to it, or give --catalog DIR")
    return settings.catalog
