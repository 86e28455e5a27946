"""Rebuild work of a release of every library of the catalog, for every platform: the farm's rule against two others.

Real upgrades are those to the releases that recipes hold now from those that they retired. Of a
library with one release the next minor one is imagined, once as if it kept the ABI and once as if it broke it. Times
are the CPU time of builds that the ledger of --home recorded; steps without any add nothing. What is imported is read
from the wheels in its store; of a wheel that nobody built against the older release, from the one of the same sources
that was built against the newer. Nothing is built. An ABI verdict is `measured` if both releases are pinned or were
measured in --home, on the platforms named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from farm import catalog, settings
from farm.bump import catalogs, facts
from farm.bump.catalogs import Bump
from farm.catalog import Catalog
from farm.catalog.retired import revived
from farm.cli import history, wanted
from farm.cli.output import human_seconds, print_json, print_table
from farm.model.plan import Plan
from farm.model.rework import Rework, Verb
from farm.plan import rework
from farm.plan.reach import Facts
from farm.plan.requirements import oldest_first
from farm.plan.rules import all_rules
from farm.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="the FARM_HOME with the ledger and the store to read")
    parser.add_argument("--python", action="append", default=[], help="Python of dependents; may be repeated")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = list(measure(settings.load(home=args.home), args.python or ["3.13"]))
    if args.json:
        print_json(rows)
        return 0
    names = list(rows[0]["rules"])
    cells = [
        (
            row["bump"],
            f"{row['abi']} ({row['known']})" if row["known"] else row["abi"],
            *(_cell(row["rules"][name]) for name in names),
            str(row["rebound"]),
            str(row["tested"]),
        )
        for row in rows
    ]
    print_table(("release", "ABI", *(f"{name}: built" for name in names), "rebound", "tested"), cells)
    return 0


def _cell(rule: dict[str, Any]) -> str:
    known = f", {human_seconds(rule['seconds'])}" if rule["seconds"] else ""
    return f"{rule['steps']}{known}"


def measure(place: Settings, pythons: Sequence[str]) -> Iterator[dict[str, Any]]:
    today = catalog.load(place)
    loaded = revived(today, today.recipes)
    with history.ledger_if_any(place) as ledger:
        durations = ledger.durations(cpu=True) if ledger is not None else {}

    def make(values: Catalog, recipes: Sequence[str]) -> Plan:
        return wanted.make_plan(values, recipes=recipes, platforms=["*"], pythons=pythons)

    for bump, breaking in _bumps(loaded):
        before, after = catalogs.plans(loaded, [bump], make, breaking=breaking)
        known = facts.gather(before, after, loaded, place)
        alike = facts.stored_imports(_alike(before, after), loaded, place)
        known = replace(known, imports={**alike, **known.imports})
        found = rework.rework(before, after, known)
        verdict, how = _verdict(bump, known, found, breaking=breaking)
        counts = {verb: sum(task.verb is verb for task in found.tasks) for verb in Verb}
        yield {
            "bump": _named(bump, before),
            "abi": verdict,
            "known": how,
            "rules": {
                name: {"steps": len(rule.steps), "seconds": rule.seconds, "without_history": rule.unknown}
                for name, rule in all_rules(before, after, found, durations).items()
            },
            "rebound": counts[Verb.REBIND],
            "tested": counts[Verb.TEST],
        }


def _alike(before: Plan, after: Plan) -> dict[str, str]:
    """Build keys of wheels before a change, and of those of the same sources after it."""
    made = {(step.slot, step.version): step.key for step in after.steps}
    asked = rework.questions(before, after).wheels
    return {step.key: made[step.slot, step.version] for step in asked if (step.slot, step.version) in made}


def _named(bump: Bump, before: Plan) -> str:
    """``gmp 6.2.1 -> 6.3.0``."""
    old = max((step.version for step in before.steps if step.recipe == bump.recipe), key=Version)
    return f"{bump.recipe} {old} -> {bump.version}" + ("" if bump.known else " (imagined)")


def _verdict(bump: Bump, known: Facts, found: Rework, *, breaking: bool) -> tuple[str, str]:
    """The ABI verdict, and how it is known."""
    if not bump.known:
        return ("breaks" if breaking else "kept"), ""
    measured = {move: each for move, each in known.differences.items() if move.recipe == bump.recipe}
    if measured:
        platforms = {f"{each.older.platform}{' (exports)' if each.untyped else ''}" for each in measured.values()}
        return next(iter(found.verdicts.values())), f"measured on {', '.join(sorted(platforms))}"
    return "unknown", ""


def _bumps(loaded: Catalog) -> Iterator[tuple[Bump, bool]]:
    """A release, and whether it is to break the ABI if it is imagined."""
    for name in sorted(loaded.recipes):
        recipe = loaded.recipes[name].recipe
        releases = [release.version for release in oldest_first(recipe)]
        if recipe.kind != "library":
            continue
        for version in releases[1:]:
            yield Bump(recipe=name, version=version, known=True), False
        if not releases[1:]:
            major, minor = (*Version(releases[0]).release, 0)[:2]
            imagined = Bump(recipe=name, version=f"{major}.{minor + 1}", known=False)
            yield from ((imagined, breaking) for breaking in (False, True))


if __name__ == "__main__":
    sys.exit(main())
