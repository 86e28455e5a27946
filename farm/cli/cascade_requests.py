"""What `farm cascade start` is asked for, as a request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from farm.cli.cascading import scope_of
from farm.cli.output import counted
from farm.errors import UsageError
from farm.model.shown import some
from farm.plan.selection import with_dependents

if TYPE_CHECKING:
    import argparse

    from farm.cascade.draft import Request
    from farm.catalog import Catalog
    from farm.cli.cascading import Rooms
    from farm.model.recipe import Recipe

_SHOWN = 5


def request_of(args: argparse.Namespace, rooms: Rooms) -> Request:
    """The request of a command line. Raises UsageError, CatalogError."""
    from farm import catalog
    from farm.cascade.draft import Request
    from farm.model.cascade import CascadeKind

    loaded = catalog.load(rooms.settings)
    if args.purl and not args.cve:
        raise UsageError("belongs to a weakness", where="--purl", fix="add --cve ID")
    if args.recipe and (args.bump or args.cve):
        raise UsageError(
            "a release or a weakness concerns all that runs with it",
            where=args.recipe[0],
            fix="name recipes with --all or --toolchain only",
        )
    platforms: list[str] = args.platform
    recipes = _named(args.recipe, loaded)
    if args.bump:
        kind, what, recipes = CascadeKind.BUMP, *_bumped(args.bump, loaded)
    elif args.toolchain:
        kind, platforms = CascadeKind.TOOLCHAIN, [_platform(args.toolchain, loaded)]
        what = f"toolchain of {args.toolchain}{_of(args.recipe)}{_changed(args.toolchain, rooms, loaded)}"
    elif args.cve:
        kind, what, recipes = CascadeKind.SECURITY, *_weak(args, rooms, loaded)
    else:
        kind, what = CascadeKind.SCHEDULE, f"all that is not built yet{_of(args.recipe)}"
    return Request(
        kind=kind,
        what=what,
        channel=args.channel,
        reason=args.reason,
        priority=args.priority,
        scope=scope_of(
            platforms,
            args.python,
            loaded,
            with_dependents(loaded, recipes),
            bumps=tuple(args.bump or ()),
            suites=(args.suite,) if args.suite != "smoke" else (),
        ),
    )


def scheduled(args: argparse.Namespace, rooms: Rooms) -> Request | None:
    """The request of recipes whose time to be rolled out has come; None if there is none, or if what is due is in a
    scheduled cascade that has not ended."""
    from datetime import UTC, datetime

    from farm import catalog
    from farm.cascade.draft import Request
    from farm.model.cascade import CascadeKind
    from farm.watch import schedule

    loaded = catalog.load(rooms.settings)
    scope = scope_of(args.platform, args.python, loaded)  # a wrong one is refused while nothing is due, too
    earlier = [c for c in rooms.ledger.cascades() if c.kind is CascadeKind.SCHEDULE and c.channel == args.channel]
    last = {name: cascade.created for cascade in earlier for name in cascade.scope.recipes}
    forms = schedule.rebuilding({name: one.recipe for name, one in loaded.recipes.items()})
    due = schedule.due(forms, last, datetime.now(UTC))
    names = with_dependents(loaded, due)
    if not names:
        return None
    return Request(
        kind=CascadeKind.SCHEDULE,
        what=f"scheduled: {some(due, _SHOWN)}",
        channel=args.channel,
        reason="its time has come",
        scope=replace(scope, recipes=names),
    )


def _bumped(texts: list[str], catalog: Catalog) -> tuple[str, tuple[str, ...]]:
    from farm.cascade.start import known_bumps

    bumps = known_bumps(texts, catalog)
    said = (f"{b.recipe} {_before(catalog.recipes[b.recipe].recipe, b.version)}{b.version}" for b in bumps)
    return ", ".join(said), tuple(bump.recipe for bump in bumps)


def _before(recipe: Recipe, version: str) -> str:
    from farm.plan.requirements import oldest_first

    versions = [release.version for release in oldest_first(recipe)]
    place = versions.index(version)
    return f"{versions[place - 1]} -> " if place else ""


def _named(texts: list[str], catalog: Catalog) -> tuple[str, ...]:
    """The recipes of these names, or that provide them."""
    if unknown := [text for text in texts if text not in catalog.providers]:
        raise UsageError(
            f"there is no recipe {unknown[0]!r}",
            where="RECIPE",
            fix="`farm recipe list` has the names, without versions",
        )
    return tuple(dict.fromkeys(catalog.providers[text] for text in texts))


def _of(recipes: list[str]) -> str:
    """Of which recipes, for people."""
    return f" of {some(recipes, _SHOWN)}" if recipes else ""


def _changed(platform: str, rooms: Rooms, catalog: Catalog) -> str:
    """What changed in a toolchain since the newest build with it: `` (toolchain.flags.c: added -O3, removed -O2)``."""
    from farm.plan.explain import explain
    from farm.plan.keys import TOOLCHAIN, toolchain_inputs

    last = rooms.ledger.last_built_on(platform)
    if last is None:
        return ""
    old = [item for item in last.inputs if item.label.startswith(TOOLCHAIN)]
    now = toolchain_inputs(catalog.toolchains[platform], dependent=last.step.python is not None)
    changes = explain(old, [item for item in now if item.label.startswith(TOOLCHAIN)])
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return f" ({'; '.join(changes[:_SHOWN])}{more})" if changes else ""


def _platform(name: str, catalog: Catalog) -> str:
    if name not in catalog.toolchains:
        raise UsageError(f"there is no toolchain {name!r}", where="--toolchain", fix="`farm toolchain list` shows them")
    return name


def _weak(args: argparse.Namespace, rooms: Rooms, catalog: Catalog) -> tuple[str, tuple[str, ...]]:
    """The recipes whose wheels hold a component, by the SBOMs of what the channel serves."""
    from farm.cascade import affected

    if not args.purl:
        raise UsageError("which component has it?", where="--cve", fix="add --purl pkg:generic/NAME@VERSION")
    wanted = affected.parse(args.purl)
    served = rooms.index.current(args.channel)
    files = rooms.index.files_in(served) if served else ()
    found = list(affected.affected(files, rooms.index.root, wanted))
    projects = {one.project for one in found}
    recipes = tuple(sorted(name for name, loaded in catalog.recipes.items() if loaded.recipe.distribution in projects))
    if not recipes:
        raise UsageError(
            f"no wheel of channel {args.channel!r} holds {args.purl}",
            where="--purl",
            fix="`farm inspect WHEEL` shows what a wheel holds",
        )
    return f"{args.cve} in {', '.join(recipes)} ({args.purl}, {counted(len(found), 'wheel')})", recipes
