"""`farm plan --bump`: what a new release would need, answered before anything runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from farm.cli import history, output, wanted
from farm.errors import PlanError, UsageError
from farm.model.rework import Verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from farm.bump.catalogs import Bump
    from farm.catalog import Catalog
    from farm.model.abi import AbiDifference
    from farm.model.plan import Impossible, Plan
    from farm.model.rework import Rework
    from farm.plan.cost import Cost
    from farm.plan.rules import Rebuilt
    from farm.settings import Settings
    from farm.store.artifacts import Store

_SHOWN = 5  # changes of an ABI; `farm abi diff` has all
_JOBS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a bump needs under one condition. `differences` are those of the bumped recipes that are known, by
    ``gmp@6.2.1 -> gmp@6.3.0``; `stored` are tasks whose wheel is in the store already, `impossible` is what the bump
    makes so."""

    condition: str
    plan: Plan
    impossible: tuple[Impossible, ...]
    rework: Rework
    cost: Cost
    rules: Mapping[str, Rebuilt]
    differences: Mapping[str, AbiDifference]
    unknown: tuple[str, ...]
    stored: frozenset[str]


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print what the bumps need; exits with 0 whatever that is. Raises UsageError, PlanError."""
    from farm import catalog
    from farm.bump.catalogs import parse_bumps, with_predecessor

    if args.all:
        raise UsageError("shows what is up to date, which a bump leaves alone", where="--all", fix="leave out --all")
    today = loaded = catalog.load(settings)
    wanted.check_pythons(args.python, today)
    for text in args.bump:
        loaded = with_predecessor(text, loaded)
    bumps = parse_bumps(args.bump, loaded)
    outcomes = list(_outcomes(args, bumps, loaded, settings))
    if args.json:
        output.print_json({"bumps": [asdict(bump) for bump in bumps], "outcomes": [_document(o) for o in outcomes]})
        return 0
    for bump in bumps:
        if loaded.recipes[bump.recipe] is not today.recipes[bump.recipe]:
            last = today.recipes[bump.recipe].recipe.retired[-1].version
            print(f"{bump.recipe} {last} is retired: this is what {bump.version} needed while it was not")
        if not bump.known:
            print(_imagined(bump, loaded))
    for outcome in outcomes:
        _print(outcome)
    return 0


def _imagined(bump: Bump, loaded: Catalog) -> str:
    lacks = f"{bump.recipe} has no release {bump.version} yet"
    if loaded.recipes[bump.recipe].recipe.abi is None:  # nothing links to it
        return f"{lacks}: it is planned as a copy of the newest one"
    return (
        f"{lacks}: neither its sources nor its ABI are known, so it is planned as a copy of the newest one, once as if "
        "it kept the ABI and once as if it broke it"
    )


def _outcomes(
    args: argparse.Namespace, bumps: Sequence[Bump], loaded: Catalog, settings: Settings
) -> Iterator[_Outcome | tuple[str, PlanError]]:
    """One outcome if all releases are known, else one for each thing that may come. A break that cannot be planned is
    an answer, too."""
    if all(bump.known or loaded.recipes[bump.recipe].recipe.abi is None for bump in bumps):
        yield _outcome("", args, bumps, loaded, settings, breaking=False)
        return
    yield _outcome("if it keeps the ABI", args, bumps, loaded, settings, breaking=False)
    condition = "if it breaks the ABI"
    try:
        yield _outcome(condition, args, bumps, loaded, settings, breaking=True)
    except PlanError as error:
        yield condition, error


def _outcome(
    condition: str,
    args: argparse.Namespace,
    bumps: Sequence[Bump],
    loaded: Catalog,
    settings: Settings,
    *,
    breaking: bool,
) -> _Outcome:
    from farm.bump import catalogs, facts
    from farm.plan.cost import cost
    from farm.plan.rules import all_rules
    from farm.store.artifacts import open_store

    platforms = args.platform or wanted.own_platforms(loaded)

    def make(catalog: Catalog, recipes: Sequence[str]) -> Plan:
        return wanted.make_plan(catalog, recipes=recipes, platforms=platforms, pythons=args.python)

    before, after = catalogs.plans(loaded, bumps, make, args.recipe, breaking=breaking)
    with history.ledger_if_any(settings) as ledger:
        usual = facts.seconds_of(ledger)
    found, known = facts.decide(before, after, loaded, settings, usual)
    durations = {slot: seconds for (verb, slot), seconds in usual.items() if verb is Verb.BUILD}
    differences = {str(move): known.differences[move] for move in sorted(known.differences)}
    moves = facts.releases(before, after)
    return _Outcome(
        condition=condition,
        plan=after,
        impossible=tuple(row for row in after.impossible if row not in before.impossible),
        rework=found,
        cost=cost(found.tasks),
        rules=all_rules(before, after, found, durations),
        differences=differences,
        unknown=tuple(dict.fromkeys(str(move) for move in moves if str(move) not in differences)),
        stored=_stored(found, open_store(settings)),
    )


def _stored(found: Rework, store: Store) -> frozenset[str]:
    made = [task for task in found.tasks if task.verb is not Verb.TEST]
    known = store.known(task.key for task in made)
    return frozenset(task.id for task in made if task.key in known)


def _document(outcome: _Outcome | tuple[str, PlanError]) -> dict[str, Any]:
    if isinstance(outcome, tuple):
        return {"condition": outcome[0], "error": str(outcome[1])}
    found, sums = outcome.rework, outcome.cost
    return {
        "condition": outcome.condition,
        "tasks": [
            {**asdict(task), "natives": dict(task.natives), "stored": task.id in outcome.stored} for task in found.tasks
        ],
        "untouched": found.untouched,
        "verdicts": dict(found.verdicts),
        "abi_unknown": outcome.unknown,
        "abi_changes": {
            move: [{"verdict": c.verdict, "subject": c.subject, "text": c.text} for c in difference.changes]
            for move, difference in outcome.differences.items()
        },
        "seconds": sums.seconds,
        "critical_seconds": sums.critical,
        "critical_path": sums.path,
        "without_history": sums.unknown,
        "rules": {name: asdict(rebuilt) for name, rebuilt in outcome.rules.items()},
        "impossible": wanted.impossible_rows(outcome.impossible),
    }


def _print(outcome: _Outcome | tuple[str, PlanError]) -> None:
    if isinstance(outcome, tuple):
        print(f"\n{outcome[0]}: it cannot be planned: {outcome[1]}")
        return
    if outcome.condition:
        print(f"\n{outcome.condition}:")
    rows = [
        (task.id, output.human_seconds(task.seconds) if task.seconds is not None else "-", task.why)
        for task in outcome.rework.tasks
    ]
    output.print_table(("task", "took", "why"), rows)
    for line in wanted.impossible_lines(outcome.impossible):
        print(line)
    for move, verdict in outcome.rework.verdicts.items():
        print(f"ABI of {move}: {verdict}")
        for line in _changes(outcome.differences[move], verdict):
            print(f"  {line}")
    for move in outcome.unknown:
        older, _, newer = move.partition(" -> ")
        first = "with its sources in the recipe, " if outcome.condition else ""
        print(f"ABI of {move}: not known; {first}`farm abi diff {older} {newer}` measures it")
    print(_total(outcome))
    print(_others(outcome))


def _changes(difference: AbiDifference, verdict: str) -> Iterator[str]:
    """What makes the verdict."""
    telling = [change for change in difference.changes if change.verdict == verdict == "breaking"]
    for change in telling[:_SHOWN]:
        yield change.said
    if telling[_SHOWN:]:
        yield f"and {len(telling) - _SHOWN} more: `farm abi diff`"
    for library in difference.untyped:
        yield f"exports alone were compared: the types of {library} are not known"


def _total(outcome: _Outcome) -> str:
    tasks = outcome.rework.tasks
    counts = [f"{sum(task.verb is verb for task in tasks)} to {verb}" for verb in Verb]
    text = f"{', '.join(counts)}; {outcome.rework.untouched} of {len(outcome.plan.steps)} steps untouched"
    if outcome.stored:
        text += f"; {len(outcome.stored)} are in the store already"
    sums = outcome.cost
    if sums.seconds:
        least = "at least " if sums.unknown else ""
        text += (
            f"; {least}{output.human_seconds(sums.seconds)} of work expected, not less than "
            f"{output.human_seconds(sums.at_least(_JOBS))} with {_JOBS} jobs, "
            f"{output.human_seconds(sums.critical)} with any number"
        )
    return text + (f"; {sums.unknown} tasks without history" if sums.unknown else "")


def _others(outcome: _Outcome) -> str:
    parts = [
        f"{name} {len(rebuilt.steps)}" + (f" ({output.human_seconds(rebuilt.seconds)})" if rebuilt.seconds else "")
        for name, rebuilt in outcome.rules.items()
        if name != "ours"
    ]
    return f"other rules would build: {', '.join(parts)}"
