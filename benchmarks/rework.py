"""Rebuild work of a release of every library of the catalog, for every platform: the farm's rule against two others.

Releases that recipes hold are compared with the one before. Of a library with one release the next minor one is
imagined, once as if it kept the ABI and once as if it broke it. Times are the CPU time of builds that the ledger of
--home recorded; steps without any add nothing. What is imported is read from the wheels in its store. Nothing is built.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from benchmarks._environments import ROOT
from farm import catalog, settings
from farm.bump import catalogs, facts
from farm.bump.catalogs import Bump
from farm.catalog import Catalog
from farm.cli import history, wanted
from farm.cli.output import human_seconds, print_json, print_table
from farm.model.plan import Plan
from farm.model.rework import Verb
from farm.plan.requirements import oldest_first
from farm.plan.rules import all_rules
from farm.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="the FARM_HOME with the ledger and the store to read")
    parser.add_argument("--python", action="append", default=[], help="Python of dependents; may be repeated")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = list(measure(settings.load(catalog=ROOT, home=args.home), args.python or ["3.13"]))
    if args.json:
        print_json(rows)
        return 0
    names = list(rows[0]["rules"])
    cells = [
        (
            row["bump"],
            row["abi"],
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
    loaded = catalog.load_from(ROOT)
    with history.ledger_if_any(place) as ledger:
        durations = ledger.durations(cpu=True) if ledger is not None else {}

    def make(values: Catalog, recipes: Sequence[str]) -> Plan:
        return wanted.make_plan(values, place, recipes=recipes, platforms=["*"], pythons=pythons)

    for bump, breaking in _bumps(loaded):
        before, after = catalogs.plans(loaded, [bump], make, breaking=breaking)
        found, _ = facts.decide(before, after, loaded, place)
        counts = {verb: sum(task.verb is verb for task in found.tasks) for verb in Verb}
        yield {
            "bump": f"{bump.recipe} {bump.version}" + ("" if bump.known else " (imagined)"),
            "abi": next(
                iter(found.verdicts.values()), "breaks" if breaking else "kept" if not bump.known else "unknown"
            ),
            "rules": {
                name: {"steps": len(rule.steps), "seconds": rule.seconds, "without_history": rule.unknown}
                for name, rule in all_rules(before, after, found, durations).items()
            },
            "rebound": counts[Verb.REBIND],
            "tested": counts[Verb.TEST],
        }


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
