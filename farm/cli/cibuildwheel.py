"""`farm recipe cibuildwheel`: hand a dependent out, for cibuildwheel to build it on a machine of its platform."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli import output, running, wanted
from farm.errors import PlanError, UsageError

if TYPE_CHECKING:
    from farm.catalog import Catalog
    from farm.model.plan import Plan, Step
    from farm.settings import Settings
    from farm.store.artifacts import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action's options."""
    parser.add_argument("recipe", metavar="RECIPE[@VERSION]", help="a dependent; its newest release unless given")
    parser.add_argument("--platform", required=True, metavar="P", help="platform tag")
    parser.add_argument("--python", required=True, metavar="X.Y", help="Python version")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="is made, and must not be there"
    )
    parser.add_argument(
        "--farm", metavar="WHEEL", help="the farm's own wheel, or a requirement that pip finds; default: this release"
    )
    parser.add_argument(
        "--no-sandbox", action="store_true", help="run the recipe's prepare commands without bubblewrap"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Write the directory. Raises PlanError, UsageError, SourceError, CatalogError."""
    from farm import catalog
    from farm.handout import write
    from farm.store.artifacts import open_store

    loaded = catalog.load(settings)
    plan = wanted.make_plan(loaded, recipes=[args.recipe], platforms=[args.platform], pythons=[args.python])
    step = _step(args, plan, loaded)
    store = open_store(settings)
    wheels = write.Wheels(
        linked=running.stored_deps(plan, step, store), beside=_beside(plan, step, loaded, store), farm=_farm(args.farm)
    )
    made = write.write(step, loaded, wheels, args.output.absolute(), settings)
    if args.json:
        output.print_json({"step": step.id, "key": step.key, "build": made.identifier, "left_out": list(made.left_out)})
        return 0
    for flag in made.left_out:
        print(f"left out, as its compiler does not know it: {flag}", file=sys.stderr)
    print(f"{step.id}: {args.output} (cibuildwheel's {made.identifier})")
    print(f"next, on that machine: python scripts/native_build.py {args.output} --runner WHO --output results")
    return 0


def _step(args: argparse.Namespace, plan: Plan, catalog: Catalog) -> Step:
    """The one step that is asked for. Raises PlanError if it cannot be built, UsageError for a library."""
    name = catalog.providers[args.recipe.partition("@")[0]]
    if catalog.recipes[name].recipe.kind != "dependent":
        raise UsageError(
            f"{name} is a library: native wheels are built by the farm itself, for every platform",
            where="RECIPE",
            fix=f"farm build {name} --platform {args.platform}",
        )
    found = [step for step in plan.steps if step.recipe == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{args.platform} names {len(found)} platforms", where="--platform", fix="name one")
    reason = next((row.reason for row in plan.impossible if row.recipe == name), "it is not in the plan")
    raise PlanError(f"{name} cannot be built for {args.platform}: {reason}", fix="`farm plan` shows what can")


def _beside(plan: Plan, step: Step, catalog: Catalog, store: Store) -> list[Path]:
    """The native wheels to test with: of each library that it is linked to the newest stored one of that epoch."""
    from packaging.version import Version

    from farm.plan.epochs import epoch_of

    steps, found = plan.by_id(), []
    for id_ in step.requires:
        linked = steps[id_]
        library = catalog.recipes[linked.recipe].recipe
        epoch = epoch_of(library, linked.version)
        same = [
            (Version(other.version), artifact)
            for other in plan.steps
            if (other.recipe, other.platform) == (linked.recipe, linked.platform)
            and epoch_of(library, other.version) == epoch
            and (artifact := store.get(other.key)) is not None
        ]
        found.append(store.path(max(same, key=lambda pair: pair[0])[1]))
    return found


def _farm(given: str | None) -> Path | str:
    """What becomes `farm` on the other machine. Raises UsageError for a wheel that is not there."""
    from farm import __version__

    if given is None:
        return f"wheel-farm=={__version__}"
    if given.endswith(".whl") and not Path(given).is_file():
        raise UsageError(f"there is no file {given}", where="--farm", fix="pip wheel --no-deps -w DIR a checkout")
    return Path(given) if given.endswith(".whl") else given
