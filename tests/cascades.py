"""Cascades of made-up tasks, and hands that do nothing but remember. Not a test module."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from plans import PLATFORM, digest

from farm.cascade.hands import Deed
from farm.errors import BuildError, UnreachableError
from farm.model.cascade import Cascade, CascadeKind, CascadeTask, Draft, DraftTask, Scope
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.model.rework import Task, Verb
from farm.process import Cancel
from farm.store.ledger import Ledger

L = TypeVar("L", bound=Ledger)
FAST = Path("/dev/shm") if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK) else None


@functools.cache
def _empty() -> bytes:
    """A ledger without anything, made once: migrations cost more than most tests."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        path = Path(folder) / "ledger.sqlite"
        Ledger.open(path).close()
        return path.read_bytes()


def fresh() -> AbstractContextManager[Ledger]:
    """An empty ledger in a file of its own."""
    return fresh_as(Ledger)


@contextmanager
def fresh_as(kind: type[L]) -> Iterator[L]:
    """The same as a ledger that behaves otherwise."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        path = Path(folder) / "ledger.sqlite"
        path.write_bytes(_empty())
        with kind.open(path) as ledger:
            yield ledger


class Killed(BaseException):
    """Stands for kill -9: nothing in the farm catches it."""


def step(name: str, *, requires: Sequence[str] = (), salt: str = "") -> Step:
    id_ = f"{name}@1.0/{PLATFORM}"
    return Step(
        id=id_, slot=f"{name}/{PLATFORM}", recipe=name, version="1.0", platform=PLATFORM, kind="library", python=None,
        requires=tuple(f"{r}@1.0/{PLATFORM}" for r in requires), key=digest(f"{name}{salt}"), inputs=(),
    )  # fmt: skip


def draft(
    graph: Mapping[tuple[str, Verb], Sequence[tuple[str, Verb]]], *, salt: str = "", priority: int = 0, base: int = 0,
    channel: str = "staging", what: str = "a change",
) -> Draft:  # fmt: skip
    """A cascade from ``{(recipe, verb): what it requires}``, each after all it requires."""
    steps = {name: step(name, salt=salt) for name, _ in graph}
    tasks = []
    for rank, ((name, verb), requires) in enumerate(graph.items()):
        one = steps[name]
        key = one.key if verb is Verb.BUILD else digest(f"{verb}{one.key}")
        task = Task(
            id=f"{verb} {one.id}", verb=verb, step=one.id, key=key, why="because", seconds=1.0, natives={},
            requires=tuple(f"{v} {steps[n].id}" for n, v in requires),
        )  # fmt: skip
        tasks.append(DraftTask(task=task, source=one.key, rank=rank))
    return Draft(
        kind=CascadeKind.BUMP, what=what, reason="test", priority=priority, channel=channel, catalog="c" * 64,
        before="b" * 64, scope=Scope(), base=base, untouched=3, saved=120.0, verdicts={}, tasks=tuple(tasks),
        steps=tuple(steps.values()),
    )  # fmt: skip


def chain(*names: str, salt: str = "") -> Draft:
    """Each is built after the one before it, then tested."""
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {}
    for number, name in enumerate(names):
        graph[name, Verb.BUILD] = [(names[number - 1], Verb.BUILD)] if number else []
    for name in names:
        graph[name, Verb.TEST] = [(name, Verb.BUILD)]
    return draft(graph, salt=salt)


class FakeHands:
    """Wheels are keys in a set. `script`: task id -> what happens at each try: ``fault``, ``fail``, ``kill``, ``late``
    (killed after the wheel is stored), ``not run``, ``bug``; it passes after that."""

    def __init__(self, script: Mapping[str, Sequence[str]] | None = None) -> None:
        self.wheels: set[str] = set()
        self.passed: Counter[str] = Counter()
        self.order: list[str] = []
        self.script = {id_: list(words) for id_, words in (script or {}).items()}
        self.during: Callable[[CascadeTask], None] = lambda _task: None
        self._lock = threading.Lock()

    def has(self, task: CascadeTask) -> bool:
        return task.key in self.wheels

    def key_of(self, task: CascadeTask) -> str:
        return task.key

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        self.during(task)
        with self._lock:
            words = self.script.get(task.id, [])
            word = words.pop(0) if words and words[0] != "fail" else (words or [""])[0]
            self.order.append(task.id)
            if word == "kill":
                raise Killed
            if word == "bug":
                raise ZeroDivisionError
            if word == "fault":
                error = UnreachableError("no mirror answers")
                return Deed(outcome=Outcome.FAILED, reason=str(error), error=error)
            if word == "fail":
                return Deed(outcome=Outcome.FAILED, reason="does not compile", error=BuildError("does not compile"))
            if word == "not run":
                return Deed(outcome=Outcome.NOT_RUN, reason="no runner")
            if task.verb is not Verb.TEST:
                self.wheels.add(task.key)
            self.passed[task.key] += 1
            if word == "late":
                raise Killed
            return Deed(outcome=Outcome.PASSED, seconds=2.0)
