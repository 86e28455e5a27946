"""Staging: all that a cascade made goes into a hidden generation, and that very generation is checked.

Hidden is a channel of the cascade's own (``cascade-7``) that no user is told of. It holds what the target channel
serves, and the cascade's wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from packaging.utils import canonicalize_name

from farm.cascade import installable, targets
from farm.index.contents import Contents, IndexFile, PublishedFile
from farm.model.artifact import Artifact
from farm.model.cascade import AT_WORK, Cascade, CascadeState, CascadeTask
from farm.model.outcome import Outcome
from farm.model.rework import Verb
from farm.wheel import names

if TYPE_CHECKING:
    from farm.index.generation import Generation
    from farm.index.generations import Index
    from farm.model.toolchain import Toolchain
    from farm.store.artifacts import Store
    from farm.store.ledger import Ledger

_SHOWN = 20  # problems that are kept with a cascade


class Importer(Protocol):
    """Imports what a generation offers, on the platforms that run on this machine."""

    def __call__(self, cascade: Cascade, generation: Generation) -> Sequence[Imported]:
        """Each wheel of a dependent that the cascade made or tested, in an environment of its own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file of the generation that was installed from it and imported; `reason` says why it FAILED or was NOT_RUN."""

    filename: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stager:
    """Stages and checks. `toolchains` are those of a cascade's catalog; `pythons` are tried beside those that wheels
    are tagged for."""

    ledger: Ledger
    store: Store
    index: Index
    toolchains: Callable[[Cascade], Sequence[Toolchain]]
    importer: Importer
    pythons: tuple[str, ...] = ()

    def stage(self, cascade: Cascade) -> Cascade:
        """Stage a cascade whose tasks are all done, on what its channel serves now; it is STAGED, or BLOCKED with what
        was found, or at work again if wheels are gone from the store. Safe to repeat; a kill leaves nothing half."""
        served = self.index.current_number(cascade.channel)
        base = self.index.contents(self.index.generation(cascade.channel, served)) if served else Contents()
        made = list(self.ledger.wheels_of(cascade.id))
        found = {task.key: self.store.get(task.key) for task in made}
        if gone := [key for key, artifact in found.items() if artifact is None or not self.store.verify(artifact)]:
            self.ledger.forget_done(cascade.id, gone)
            self.ledger.move_cascade(cascade.id, CascadeState.BUILDING, of=(*AT_WORK, CascadeState.STAGED))
            return self.ledger.cascade(cascade.id)
        artifacts = [artifact for artifact in found.values() if artifact is not None]
        files = [IndexFile(path=self.store.path(a), sha256=a.sha256) for a in artifacts]
        comment = f"cascade {cascade.id}: {cascade.what}"
        generation = self.index.publish(cascade.hidden, files, comment=comment, replace=True, onto=base)
        checks, problems = self._check(cascade, generation, self._apart(cascade, base, generation))
        if not problems:
            self._let_stand_in(cascade, [task for task in made if task.verb is Verb.REBIND], found)
        return self._decide(cascade, served, generation, checks, problems)

    def overwritten(self, cascade: Cascade) -> tuple[str, ...]:
        """Projects of which the channel got other wheels since the cascade was planned, for a Python and a platform
        that the cascade makes wheels for, too."""
        served = self.index.current_number(cascade.channel)
        if served == cascade.base:
            return ()
        now = self.index.contents(self.index.generation(cascade.channel, served)) if served else Contents()
        now, then = now.as_published(), self._then(cascade).as_published()  # what overlays correct was made by nobody
        moved = {
            _place(name)
            for name, file in now.files.items()
            if name not in then.files or then.files[name].sha256 != file.sha256
        }
        artifacts = [self.store.get(task.key) for task in self.ledger.wheels_of(cascade.id)]
        theirs = {file.sha256 for file in now.files.values()}
        return tuple(
            sorted(
                {
                    _place(a.filename)[0]
                    for a in artifacts
                    if a and a.sha256 not in theirs and _place(a.filename) in moved
                }
            )
        )

    def _let_stand_in(
        self, cascade: Cascade, rebound: Sequence[CascadeTask], found: Mapping[str, Artifact | None]
    ) -> None:
        """What was rebound has passed its tests, and the whole the checks: from now on it spares the builds."""
        steps = self.ledger.steps_of(cascade.id, [task.step for task in rebound])
        for task in rebound:
            if artifact := found[task.key]:
                self.store.let_stand_in(steps[task.step].key, artifact)

    def _then(self, cascade: Cascade) -> Contents:
        if not cascade.base or cascade.base not in self.index.numbers(cascade.channel):
            return Contents()  # it was pruned: then all counts as moved
        return self.index.contents(self.index.generation(cascade.channel, cascade.base))

    def _apart(self, cascade: Cascade, base: Contents, generation: Generation) -> dict[str, frozenset[str]]:
        """What the projects of fenced recipes must not be installed with: releases that are new to the channel. They
        were fenced for not working with them, or were not tried."""
        known = {(file.project, file.version) for file in base.files.values()}
        offered = self.index.files_in(generation)
        new = frozenset(file.filename for file in offered if (file.project, file.version) not in known)
        return {canonicalize_name(fence.recipe): new for fence in self.ledger.fences(cascade.id)}

    def _check(
        self, cascade: Cascade, generation: Generation, apart: Mapping[str, frozenset[str]]
    ) -> tuple[dict[str, Any], list[str]]:
        contents = self.index.contents(generation)
        pythons = (*targets.pythons_of(contents), *self.pythons)
        wanted = targets.targets(self.toolchains(cascade), pythons)
        answer = installable.check(contents, wanted, self._requires, apart=apart)
        problems = [str(problem) for problem in answer.problems]
        imported = () if problems else tuple(self.importer(cascade, generation))
        problems += [f"{one.filename}: {one.reason}" for one in imported if one.outcome is Outcome.FAILED]
        checks = {
            "resolved": answer.asked,
            "outside": list(answer.outside),
            "imported": [one.filename for one in imported if one.outcome is Outcome.PASSED],
            "not_imported": {one.filename: one.reason for one in imported if one.outcome is Outcome.NOT_RUN},
            "problems": problems[:_SHOWN],
        }
        return checks, problems

    def _requires(self, published: PublishedFile) -> tuple[str, ...]:
        from farm.wheel.metadata import parse_headers

        place = self.index.root / f"{published.location}.metadata"
        return parse_headers(place.read_bytes(), str(place)).all("Requires-Dist")

    def _decide(
        self, cascade: Cascade, served: int, generation: Generation, checks: Mapping[str, Any], problems: Sequence[str]
    ) -> Cascade:
        values: dict[str, Any] = {"base": served, "staged": generation.number, "checks": dict(checks), "note": ""}
        state = CascadeState.STAGED
        if problems:
            state = CascadeState.BLOCKED
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            values["note"] = f"what it would offer is not sound: {problems[0]}{more}"
        self.ledger.move_cascade(cascade.id, state, of=(*AT_WORK, CascadeState.STAGED), **values)
        return self.ledger.cascade(cascade.id)


def _place(filename: str) -> tuple[str, str, str]:
    """What a wheel is, over its versions: project, Python and ABI tags, platform."""
    name = names.parse(filename)
    return name.project, f"{name.python}-{name.abi}", name.platform
