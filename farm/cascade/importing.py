"""Import tests of a staged generation: its wheels, installed from it alone, on the platforms of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm import runners, trial
from farm.cascade.catalogs import Catalogs
from farm.cascade.doing import deed_of
from farm.cascade.stage import Imported
from farm.errors import FarmError, StoreError
from farm.model.cascade import Cascade, TaskState
from farm.model.outcome import Outcome
from farm.model.rework import Verb

if TYPE_CHECKING:
    from farm.index.contents import PublishedFile
    from farm.index.generation import Generation
    from farm.index.generations import Index
    from farm.model.plan import Step
    from farm.settings import Settings
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationImporter:
    """Runs the smoke test of every dependent that a cascade made, moved or tested, against the generation's own files
    in a fresh environment. Platforms that this machine only emulates were tested by the cascade's tasks."""

    settings: Settings
    ledger: Ledger
    store: Store
    index: Index
    catalogs: Catalogs

    def __call__(self, cascade: Cascade, generation: Generation) -> Sequence[Imported]:
        """See `farm.cascade.stage.Importer`."""
        url = (self.index.path(generation) / "simple").as_uri()
        return [self._import(cascade, step, file, url) for step, file in self._wanted(cascade, generation)]

    def _wanted(self, cascade: Cascade, generation: Generation) -> Iterator[tuple[Step, PublishedFile]]:
        contents = self.index.contents(generation)
        offered = {file.sha256: file for file in contents.files.values()}
        offered.update({c.original.sha256: c.corrected for c in contents.corrections.values()})
        fenced = {fence.recipe for fence in self.ledger.fences(cascade.id)}
        tasks = [task for task in self.ledger.tasks_of(cascade.id, TaskState.DONE) if task.recipe not in fenced]
        steps = self.ledger.steps_of(cascade.id, {task.step for task in tasks})
        toolchains = self.catalogs.of(cascade).toolchains
        seen = set()
        for task in tasks:
            step = steps[task.step]
            artifact = self.store.get(task.source if task.verb is Verb.TEST else task.key)
            file = offered.get(artifact.sha256) if artifact else None
            own = runners.takes_own_python(toolchains[step.platform])
            if step.kind == "dependent" and own and file is not None and file.filename not in seen:
                seen.add(file.filename)
                yield step, file

    def _import(self, cascade: Cascade, step: Step, file: PublishedFile, url: str) -> Imported:
        it = trial.Trial(
            step=step,
            wheel=self.index.root / file.location,
            deps=dict.fromkeys(step.requires, self.index.root),
            index_url=url,
            catalog=self.catalogs.of(cascade),
            settings=self.settings,
        )
        try:
            deed = deed_of(trial.run(it, "smoke"))
        except StoreError:  # a full disk: what was not tried is not offered
            raise
        except FarmError as error:  # this machine lacks something: no word about the wheel
            return Imported(filename=file.filename, outcome=Outcome.NOT_RUN, reason=error.what)
        return Imported(filename=file.filename, outcome=deed.outcome, reason=deed.reason)
