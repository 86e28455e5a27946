"""How well the schedule fills its workers: simulated runs against the bounds that no schedule can beat.

Steps take times like those that the farm's ledger recorded (log-normal: median 100 s, the slowest of thousands take
hours). The schedule knows them as it would: from an earlier run, which took a fifth more or less; from an earlier run
of one platform; or not at all, which no schedule can make good.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from random import Random
from typing import Any

from benchmarks import _shape
from farm.cli.output import print_json, print_table
from farm.model.plan import Plan
from farm.plan import planner
from farm.plan.values import Wanted
from farm.workers.simulate import simulate

LIMIT = 1.1
WORKERS = (2, 16, 64, 256)
_MEDIAN, _BETWEEN, _WITHIN = 100.0, 1.29, 0.8  # seconds; sigmas of recipes, and of the platforms of one recipe
_AGAIN = 0.2  # sigma of a step's next run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=int, action="append", help="size of the catalog; may be repeated")
    parser.add_argument("--platforms", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [row for size in args.recipes or (30, 100, 1000) for row in measure(size, args.platforms, args.seeds)]
    worst = max(row["ratio"] for row in rows if row["history"] == "all")
    if args.json:
        print_json({"rows": rows, "worst": worst, "limit": LIMIT})
        return 0
    print_table(
        ("steps", "history", "workers", "critical path", "work / workers", "makespan / larger, worst of seeds"),
        [
            (
                row["steps"],
                row["history"],
                row["workers"],
                f"{row['critical'] / 3600:.1f} h",
                f"{row['share'] / 3600:.1f} h",
                f"{row['ratio']:.3f}",
            )
            for row in rows
        ],
    )
    print(f"worst with all of the history {worst:.3f} (goal: at most {LIMIT})")
    return 0 if worst <= LIMIT else 1


def measure(recipes: int, platforms: int, seeds: int) -> list[dict[str, Any]]:
    plan = planner.plan(_shape.catalog_values(recipes, platforms), Wanted())
    steps = Plan(steps=tuple(plan.steps))
    rows = []
    for history in ("all", "one platform", "none"):
        for workers in WORKERS:
            runs = []
            for seed in range(seeds):
                seconds, expected = durations(steps, seed)
                known = {slot: usual for slot, usual in expected.items() if _known(slot, history, steps)}
                runs.append(simulate(steps, seconds, workers=workers, durations=known))
            worst = max(runs, key=lambda run: run.ratio)
            share = worst.work / workers
            row = {"recipes": recipes, "steps": len(steps.steps), "history": history, "workers": workers}
            rows.append({**row, "critical": worst.critical, "share": share, "ratio": worst.ratio})
    return rows


def _known(slot: str, history: str, plan: Plan) -> bool:
    return history == "all" or (history == "one platform" and slot.endswith(f"/{plan.steps[0].platform}"))


def durations(plan: Plan, seed: int) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Seconds by step id, and what an earlier run took by slot."""
    chance = Random(seed)
    recipes: dict[str, float] = {}
    seconds, expected = {}, {}
    for step in plan.steps:
        if step.recipe not in recipes:
            recipes[step.recipe] = _MEDIAN * math.exp(chance.gauss(0, _BETWEEN))
        usual = recipes[step.recipe] * math.exp(chance.gauss(0, _WITHIN))
        expected[step.slot] = usual
        seconds[step.id] = usual * math.exp(chance.gauss(0, _AGAIN))
    return seconds, expected


if __name__ == "__main__":
    sys.exit(main())
