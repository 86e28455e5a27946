"""The farm's own hands: builds by the pipeline, rebinds by repair, tests on the platform's runner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from farm import trial
from farm.cascade import compiled
from farm.cascade.catalogs import Catalogs
from farm.cascade.hands import Deed
from farm.cascade.holding import held
from farm.errors import FarmError, GateError, StoreError, UnavailableError
from farm.gates.audit import AuditPolicy
from farm.gates.policy import policy_for
from farm.model.artifact import Artifact
from farm.model.cascade import Cascade, CascadeTask
from farm.model.events import Listener, StepEvent
from farm.model.finding import Finding
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.model.rework import Verb
from farm.pipeline import Pipeline
from farm.plan.selection import ids_beside
from farm.process import Cancel
from farm.runners import SmokeResult
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.home import work_dir
from farm.store.standing import judged, stand_in
from farm.workers.step import StepCancel, StepRunner

if TYPE_CHECKING:
    from farm.store.ledger import Ledger

_SHOWN_LINES = 20


class Rebind(Protocol):
    """Moves a wheel to other native wheels."""

    def __call__(self, wheel: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy, /) -> Path:
        """Write the wheel, moved to `natives` (by recipe), into `out`, held to `policy`, and return its path. Raises
        GateError if that cannot be done rightly: it is built instead."""
        ...


def _rebind(wheel: Path, natives: Mapping[str, Path], out: Path, policy: AuditPolicy) -> Path:
    from farm.repair.options import RepairOptions
    from farm.repair.rebind import rebound

    # To the releases that it would be built against, with the bounds that a build would give it.
    return rebound(wheel, natives, out, policy=policy, options=RepairOptions(linked=True)).wheel


def _ignore(event: StepEvent) -> None:
    del event


@dataclass(frozen=True, slots=True, kw_only=True)
class FarmHands:
    """Carries out tasks with the frozen catalog of their cascade; needs nothing but FARM_HOME.

    `findings` takes what the gates found; `listener` hears the phases of builds.
    """

    settings: Settings
    store: Store
    ledger: Ledger
    catalogs: Catalogs
    findings: Callable[[Step, tuple[Finding, ...]], None]
    rebind: Rebind = _rebind
    listener: Listener = _ignore

    def has(self, task: CascadeTask) -> bool:
        """Whether the wheel is stored."""
        return bool(self.store.known([task.key]))

    def key_of(self, task: CascadeTask) -> str:
        """See `farm.cascade.hands.Hands`."""
        return task.key

    def needed(self, cascade: Cascade, task: CascadeTask) -> Iterator[Artifact]:
        """The wheels that go into a task. Raises FarmError for one that is not stored."""
        step = self._steps(cascade, [task.step])[0]
        if task.source != task.key:
            yield self._artifact(task.source, step.slot)
        for one in self._natives(cascade, task, step):
            yield self._artifact(one.key, one.id)
        if task.verb is Verb.TEST and step.kind == "dependent":
            for id_, key in self._beside(cascade, step):
                yield self._artifact(key, id_)

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        """See `Hands`."""
        started = time.monotonic()
        try:
            deed = _DEEDS[task.verb](self, cascade, task, cancel)
        except (FarmError, OSError) as error:
            deed = Deed(outcome=Outcome.FAILED, reason=str(error), error=error)
        return replace(deed, seconds=time.monotonic() - started)

    def _build(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        return self._built(cascade, self._steps(cascade, [task.step])[0], cancel)

    def _built(self, cascade: Cascade, step: Step, cancel: Cancel) -> Deed:
        """Build a step; the caller holds the lease of its key."""
        deps = {dep.id: self._artifact(dep.key, dep.id) for dep in self._steps(cascade, step.requires)}
        catalog = self.catalogs.of(cascade)
        pipeline = Pipeline(catalog=catalog, store=self.store, settings=self.settings, findings=self.findings)
        runner = StepRunner(pipeline, self.ledger, self.settings.logs, self.listener, store=self.store)
        token = cancel if isinstance(cancel, StepCancel) else StepCancel(cancel)
        outcome, bug = runner.run(step, deps, token)
        if bug is not None:
            raise bug
        if outcome.artifact is not None:
            return Deed(outcome=Outcome.PASSED)
        return Deed(outcome=Outcome.FAILED, reason=outcome.message, error=outcome.error)

    def _rebind(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        step = self._steps(cascade, [task.step])[0]
        steps = self._natives(cascade, task, step)
        natives = {one.recipe: self._wheel(one.key, one.id) for one in steps}
        catalog = self.catalogs.of(cascade)
        recipe, toolchain = catalog.recipes[step.recipe].recipe, catalog.toolchains[step.platform]
        policy = policy_for(toolchain, recipe, natives=natives.values())
        with work_dir(self.settings.work, "rebind") as out:
            try:
                compiled.check(task.source, steps, toolchain.binary, self.store, self.ledger)
                wheel = self.rebind(self._wheel(task.source, step.slot), natives, out, policy)
            except GateError as refused:
                return self._build_instead(cascade, task, step, refused, cancel)
            self.store.put(task.key, wheel)
        return Deed(outcome=Outcome.PASSED)

    def _build_instead(
        self, cascade: Cascade, task: CascadeTask, step: Step, refused: GateError, cancel: Cancel
    ) -> Deed:
        """A wheel that cannot be moved rightly is built; what is built stands for what would have been moved."""
        token = StepCancel(cancel)
        with held(self.ledger, step.key, token.lose) as is_ours:
            if not is_ours:
                raise UnavailableError("another process builds it", where=step.id, fix="advance again later")
            artifact = self.store.get(step.key)
            deed = Deed(outcome=Outcome.PASSED) if artifact else self._built(cascade, step, token)
        if deed.outcome is Outcome.PASSED:
            self.store.put(task.key, self._wheel(step.key, step.id))
            return replace(deed, reason=f"built, because it could not be rebound: {refused.what}")
        return replace(deed, reason=f"{deed.reason}\n(it was built because it could not be rebound: {refused.what})")

    def _test(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        step = self._steps(cascade, [task.step])[0]
        natives = self._natives(cascade, task, step)
        wheels = {one.id: self._wheel(one.key, one.id) for one in natives}
        others = (self._wheel(key, id_) for id_, key in self._beside(cascade, step))
        it = trial.Trial(
            step=step,
            wheel=self._wheel(task.source, step.slot),
            deps=wheels,
            beside=(*wheels.values(), *others) if step.kind == "dependent" else (),
            index_url=(self.settings.index / cascade.channel / "simple").as_uri(),
            catalog=self.catalogs.of(cascade),
            settings=self.settings,
        )
        key = self._judged(task, step)
        result = self._tried(it, "smoke", key, natives, cancel)
        for suite in cascade.scope.suites if result.passed and it.loaded.recipe.tests.upstream else ():
            result = self._tried(it, suite, key, natives, cancel)
            if not result.passed:
                break
        return deed_of(result)

    def _tried(self, it: trial.Trial, suite: str, key: str, natives: Iterable[Step], cancel: Cancel) -> SmokeResult:
        result = trial.run(it, suite, cancel=cancel)
        details: dict[str, Any] = {"with": {one.recipe: one.version for one in natives}}
        details |= asdict(result.counts) if result.counts else {}
        self.ledger.record_verdict(key, suite, result.outcome, reason=result.reason, details=details)
        return result

    def _judged(self, task: CascadeTask, step: Step) -> str:
        """The key of verdicts about the wheel that a task tests: one that was rebound is not what the build key was
        built to, and stands in for that at most."""
        artifact = self._artifact(task.source, step.slot)
        if task.source != step.key:
            artifact = replace(artifact, key=stand_in(step.key))
        return judged(step, artifact, self.ledger)

    def _natives(self, cascade: Cascade, task: CascadeTask, step: Step) -> list[Step]:
        """The steps of the native wheels that a task works with, and of all that these require, each once."""
        names = [f"{name}@{version}/{step.platform}" for name, version in task.natives.items()] or list(step.requires)
        chosen = {name.partition("@")[0] for name in names}
        found: dict[str, Step] = {}
        while names:
            new = [one for one in self._steps(cascade, names) if one.id not in found]
            found.update({one.id: one for one in new})
            names = [name for one in new for name in one.requires if name.partition("@")[0] not in chosen]
            chosen.update(name.partition("@")[0] for name in names)
        return list(found.values())

    def _beside(self, cascade: Cascade, step: Step) -> Iterator[tuple[str, str]]:
        """Steps and keys of other dependents that a dependent needs when it runs."""
        ids = ids_beside(step, self.catalogs.of(cascade).recipes)
        made = self.ledger.made_by(cascade.id, ids)
        for id_, other in self.ledger.steps_of(cascade.id, ids).items():
            yield id_, made.get(id_, other.key)

    def _steps(self, cascade: Cascade, ids: Iterable[str]) -> list[Step]:
        wanted = tuple(dict.fromkeys(ids))
        found = self.ledger.steps_of(cascade.id, wanted)
        if missing := [id_ for id_ in wanted if id_ not in found]:
            raise StoreError(f"cascade {cascade.id} does not know the step {missing[0]}", where="ledger")
        return [found[id_] for id_ in wanted]

    def _wheel(self, key: str, what: str) -> Path:
        return self.store.path(self._artifact(key, what))

    def _artifact(self, key: str, what: str) -> Artifact:
        artifact = self.store.get(key)
        if artifact is None:
            raise FarmError(
                "its wheel is not in the store any more", where=what, fix=f"`farm build {what}`, then advance again"
            )
        return artifact


_DEEDS: dict[Verb, Callable[[FarmHands, Cascade, CascadeTask, Cancel], Deed]] = {
    Verb.BUILD: FarmHands._build,  # noqa: SLF001 - this class's own
    Verb.REBIND: FarmHands._rebind,  # noqa: SLF001
    Verb.TEST: FarmHands._test,  # noqa: SLF001
}


def deed_of(result: SmokeResult) -> Deed:
    """What a test came to; of one that failed with the end of what it printed."""
    reason = result.reason
    if result.outcome is Outcome.FAILED:
        reason = "\n".join([reason, *(f"  | {line}" for line in result.output.splitlines()[-_SHOWN_LINES:])])
    return Deed(outcome=result.outcome, reason=reason, seconds=result.seconds)
