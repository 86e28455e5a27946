"""From a plan before a change and a plan after it to what the change needs: build, rebind, test. Pure.

What changed is read off the two plans, so one rule does for a new release, a new toolchain and a patch. A step whose
key is the same is at most tested again; a step whose key changed only because libraries moved to another ABI epoch is
built again if the break reaches it (`farm.plan.reach`), else rebound; all else that changed is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from farm.model.abi import Verdict
from farm.model.plan import Plan, Step
from farm.model.rework import Rework, Task, Verb
from farm.plan.moves import Cause, Change, Move, Plans, told
from farm.plan.reach import Facts, reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What a rework is decided by beside the plans: see `farm.plan.reach.Facts`.

    `wheels` are steps of the plan before whose wheels' imports matter; `moves` those of which the ABI difference does;
    `abis` recipe, release and platform of libraries whose own ABI does.
    """

    wheels: tuple[Step, ...]
    moves: tuple[Move, ...]
    abis: tuple[tuple[str, str, str], ...]


def questions(before: Plan, after: Plan) -> Questions:
    """What must be found out for `rework`. Only what may matter: nothing is asked about steps that are built anyway."""
    plans = Plans(before, after)
    wheels: dict[str, Step] = {}
    moves = dict.fromkeys(releases(plans))
    abis: dict[tuple[str, str, str], None] = {}
    for step in plans.after.steps.values():
        cause = plans.causes[step.id]
        if cause.change is Change.MOVED and cause.old is not None:
            moves.update(dict.fromkeys(cause.moves))
            if step.kind == "dependent":
                wheels[cause.old.id] = cause.old
            for move in cause.moves:
                rows = _through(plans, cause.old, move).items()
                abis.update({(recipe, release, step.platform): None for recipe, release in rows})
    return Questions(wheels=tuple(wheels.values()), moves=tuple(moves), abis=tuple(abis))


def rework(before: Plan, after: Plan, facts: Facts) -> Rework:
    """What it takes to get from one plan to the other. The same input gives the same rework."""
    plans = Plans(before, after)
    tasks: dict[str, Task] = {}
    for steps in _in_turn(plans.after.steps.values(), facts):
        made = {step.id: _made_anew(step, plans, facts, tasks) for step in steps}
        tasks.update((task.id, task) for task in made.values() if task is not None)
        tested = (_tested(step, made[step.id], plans, facts, tasks) for step in steps)
        tasks.update((task.id, task) for task in tested if task is not None)
    touched = {task.step for task in tasks.values()}
    return Rework(
        tasks=tuple(tasks.values()), untouched=len(plans.after.steps) - len(touched), verdicts=_verdicts(plans, facts)
    )


def _in_turn(steps: Iterable[Step], facts: Facts) -> Iterator[list[Step]]:
    """Steps one by one; at last those whose tests need other dependents, together: these are made before any of their
    tests."""
    last = []
    for step in steps:
        if step.recipe in facts.beside:
            last.append(step)
        else:
            yield [step]
    yield last


def _made_anew(step: Step, plans: Plans, facts: Facts, done: Mapping[str, Task]) -> Task | None:
    """What makes a step's wheel, if it must be another one."""
    cause = plans.causes[step.id]
    if cause.change is Change.SAME:
        return None
    if cause.change is not Change.MOVED:
        return _build(step, cause.why, facts, done)
    why = _must_build(step, cause, plans, facts)
    return _build(step, why, facts, done) if why else _rebind(step, cause, plans, facts, done)


def _tested(step: Step, makes: Task | None, plans: Plans, facts: Facts, done: Mapping[str, Task]) -> Task | None:
    why = _why_tested(step, plans.causes[step.id], makes, plans, facts)
    return _test(step, why, makes, plans, facts, done) if why else None


def _must_build(step: Step, cause: Cause, plans: Plans, facts: Facts) -> str:
    """Why a step that only follows a library to another ABI epoch is built all the same; empty if it is rebound."""
    assert cause.old is not None
    if step.kind == "library":
        return f"{cause.why}, another ABI epoch; native wheels are not rebound"
    imports = facts.imports.get(cause.old.key)
    if imports is None:
        return f"{cause.why}, another ABI epoch; what its wheel imports is not known"
    for move in cause.moves:
        if why := reached(move, imports, _through(plans, cause.old, move), facts):
            return why
    if not imports.needs.intersection(move.recipe for move in cause.moves):
        return f"{cause.why}; it does not link to that itself, but what it is built against is built anew"
    return ""


def _through(plans: Plans, old: Step, move: Move) -> dict[str, str]:
    """The libraries that a step was built against and that are built against a moved one: recipe -> release."""
    required = plans.before.required(old)
    return {
        name: linked.version
        for name, linked in required.items()
        if name != move.recipe and move.recipe in plans.before.required(linked)
    }


def _build(step: Step, why: str, facts: Facts, done: Mapping[str, Task]) -> Task:
    return Task(
        id=f"{Verb.BUILD} {step.id}",
        verb=Verb.BUILD,
        step=step.id,
        key=step.key,
        requires=_made(step.requires, done),
        why=why,
        seconds=facts.seconds.get((Verb.BUILD, step.slot)),
        natives={},
    )


def _rebind(step: Step, cause: Cause, plans: Plans, facts: Facts, done: Mapping[str, Task]) -> Task:
    """To the releases that it would be built against."""
    assert cause.old is not None
    natives = plans.after.required(step)
    return Task(
        id=f"{Verb.REBIND} {step.id}",
        verb=Verb.REBIND,
        step=step.id,
        key=_key(Verb.REBIND, cause.old.key, natives),
        requires=_made(step.requires, done),
        why=f"{told(cause.moves)}, another ABI epoch, and it imports nothing that changed",
        seconds=facts.seconds.get((Verb.REBIND, step.slot)),
        natives={name: native.version for name, native in natives.items()},
    )


def _why_tested(step: Step, cause: Cause, makes: Task | None, plans: Plans, facts: Facts) -> str:
    if makes is not None:
        return {Verb.BUILD: "it is built", Verb.REBIND: "it is rebound"}[makes.verb]
    assert cause.old is not None
    beside = facts.beside.get(step.recipe, ())
    was = plans.before.runs_with(cause.old, beside)
    changes = []
    for name, other in plans.after.runs_with(step, beside).items():
        old = was.get(name)
        if old is None or old.version != other.version:
            changes.append(f"{name} {other.version}" + (f", was {old.version}" if old else ""))
        elif old.key != other.key:
            changes.append(f"{name} {other.version}, which is built anew ({plans.causes[other.id].why})")
    return f"it runs with {' and '.join(changes)}" if changes else ""


def _test(step: Step, why: str, makes: Task | None, plans: Plans, facts: Facts, done: Mapping[str, Task]) -> Task:
    others = plans.after.runs_with(step, facts.beside.get(step.recipe, ()))
    needed = _made((other.id for other in others.values()), done)
    return Task(
        id=f"{Verb.TEST} {step.id}",
        verb=Verb.TEST,
        step=step.id,
        key=_key(Verb.TEST, makes.key if makes else step.key, others),
        requires=(makes.id, *needed) if makes else needed,
        why=why,
        seconds=facts.seconds.get((Verb.TEST, step.slot)),
        natives={name: other.version for name, other in others.items() if other.kind == "library"},
        beside=tuple(other.id for other in others.values() if other.kind == "dependent"),
    )


def _made(steps: Iterable[str], done: Mapping[str, Task]) -> tuple[str, ...]:
    """The tasks that make the wheels of some steps."""
    ids = (f"{verb} {step}" for step in steps for verb in (Verb.BUILD, Verb.REBIND))
    return tuple(id_ for id_ in dict.fromkeys(ids) if id_ in done)


def _key(verb: Verb, wheel: str, natives: Mapping[str, Step]) -> str:
    lines = [verb.value, wheel, *(f"{name} {natives[name].key}" for name in sorted(natives))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def releases(plans: Plans) -> Iterator[Move]:
    """From the newest release of each library before the change to its newest after it, where that is another."""
    for step in plans.after.steps.values():
        if step.kind == "library" and plans.after.newest_of_slot(step.slot) is step:
            old = plans.before.newest_of_slot(step.slot)
            if old is not None and old.version != step.version:
                yield Move(recipe=step.recipe, older=old.version, newer=step.version, platform=step.platform)


def _verdicts(plans: Plans, facts: Facts) -> dict[str, str]:
    """The worst over all platforms that are known."""
    moves = {move for cause in plans.causes.values() for move in cause.moves} | set(releases(plans))
    found: dict[str, str] = {}
    for move in sorted(moves & facts.differences.keys()):
        verdict = facts.differences[move].verdict
        if str(move) not in found or verdict.rank > Verdict(found[str(move)]).rank:
            found[str(move)] = verdict.value
    return found
