"""The arguments that say what to plan, the same for every verb that plans."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from farm.cli import quick
from farm.model.shown import some

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from farm.catalog import Catalog
    from farm.model.artifact import Artifact
    from farm.model.plan import Impossible, Plan
    from farm.settings import Settings
    from farm.store.artifacts import Store

_SHOWN = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add RECIPE..., --platform and --python."""
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipe, provided name, or NAME@VERSION; none: all")
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="P",
        help="platform tag or glob, '*' for all; may be repeated; default: this machine's own",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="X.Y",
        help="Python version of dependents; may be repeated; default: the one that runs the farm",
    )


def check_pythons(texts: Iterable[str], catalog: Catalog) -> None:
    """Raise UsageError for a Python (``3.11``) that nobody has."""
    from farm.build import planning
    from farm.plan import selection

    planning.check_pythons(catalog, [selection.python_tag(text) for text in texts])


def plan_of(args: argparse.Namespace, catalog: Catalog) -> Plan:
    """The plan that the arguments ask for. Raises PlanError, UsageError."""
    check_pythons(args.python, catalog)
    platforms = args.platform or own_platforms(catalog)
    return make_plan(catalog, recipes=args.recipe, platforms=platforms, pythons=args.python)


def own_platforms(catalog: Catalog) -> tuple[str, ...]:
    """The platforms whose binaries this machine runs as its own; none (which plans all) if no toolchain is for it."""
    from farm.settings import build_machine, on_linux

    machine = build_machine()
    return tuple(
        platform
        for platform, toolchain in catalog.toolchains.items()
        if on_linux() and (toolchain.os, toolchain.libc, toolchain.arch) == ("linux", "glibc", machine)
    )


def make_plan(
    catalog: Catalog, *, recipes: Sequence[str] = (), platforms: Sequence[str] = (), pythons: Sequence[str] = ()
) -> Plan:
    """The one way from names to a plan, so that every verb gets the same keys. `pythons` defaults to the farm's own. It
    depends on the catalog alone, and on this machine's Pythons for those that the catalog does not describe."""
    from farm.build import planning

    return planning.make_plan(catalog, recipes=recipes, platforms=platforms, pythons=pythons)


def remember(
    args: argparse.Namespace,
    settings: Settings,
    catalog: Catalog,
    plan: Plan,
    store: Store,
    artifacts: Iterable[Artifact],
    *,
    started_ns: int,
    inputs: Iterable[Path] = (),
    notes: tuple[str, ...] = (),
) -> None:
    """Let the same command line answer at once while nothing changes (farm.plan.snapshot).

    `inputs` are files that it looked at beside the catalog and the Pythons; `notes` what it says beyond that.
    """
    quick.remember(
        getattr(args, "argv", ()),
        os.environ,
        settings,
        started_ns=started_ns,
        inputs=[*catalog.input_paths(), *_python_paths(plan, catalog), *inputs],
        wheels=[(artifact.key, store.path(artifact), artifact.size) for artifact in artifacts],
        notes=notes,
    )


def notes(plan: Plan, found: Mapping[str, Artifact]) -> tuple[str, ...]:
    """What is to be said beside counts: what is impossible, and what was rebound instead of built. `found` is by
    step."""
    from farm.store.standing import rebound_among

    rebound = rebound_among(plan.steps, found)
    said = (f"rebound, not built: {some(rebound, _SHOWN)}",) if rebound else ()
    return (*impossible_lines(plan.impossible), *said)


def impossible_lines(rows: Iterable[Impossible]) -> tuple[str, ...]:
    """What cannot be built and why, for people."""
    return tuple(
        f"impossible: {' '.join((row.recipe, row.python or '')).strip()} for {row.platform}: {row.reason}"
        for row in rows
    )


def impossible_rows(rows: Iterable[Impossible]) -> list[dict[str, str]]:
    """The same for programs."""
    return [
        {"recipe": row.recipe, "platform": row.platform, "python": row.python or "", "reason": row.reason}
        for row in rows
    ]


def _python_paths(plan: Plan, catalog: Catalog) -> Iterator[Path]:
    """Files of this machine's Pythons whose change may change the plan's keys (for `farm.plan.snapshot`).

    Those that the catalog describes are among its own files.
    """
    tags = {step.python for step in plan.steps if step.python and step.python not in catalog.pythons}
    if not tags:
        return
    from farm.build import pysdk_machine
    from farm.errors import MissingToolError

    for tag in sorted(tags):
        try:
            python = pysdk_machine.find(tag)
        except MissingToolError:  # planned without it, so nothing of it counts
            continue
        yield python.executable
        for folder in python.includes:
            yield folder
            yield from sorted(folder.glob("*.h"))


def own_python() -> str:
    """The tag of the Python that runs the farm: ``cp311``."""
    from farm.build import planning

    return planning.own_python()
