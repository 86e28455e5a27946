"""`farm abi accept`: pin ABIs in recipes, on one platform or many, with types or as the exports of stored wheels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.cli import output
from farm.errors import GateError, UsageError
from farm.model.finding import Severity

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from farm.abi.baseline import Accepted
    from farm.catalog import Catalog
    from farm.model.abi import Abi
    from farm.model.plan import Step
    from farm.model.recipe import Recipe
    from farm.settings import Settings
    from farm.store.artifacts import Store


def accept(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> int:
    """Pin what was asked for: all of it, or, after an error, nothing.

    Raises GateError for an ABI that breaks what is pinned under the same epoch, the release itself included: that would
    unpin it.
    """
    from farm.abi import baseline
    from farm.store.files import make_dirs, write_atomic

    measured = list(_exported(args, loaded, settings) if args.exports else _typed(args, loaded, settings))
    for abi in measured:
        recipe = loaded.recipes[abi.recipe]
        _refuse(abi, baseline.load(recipe.directory, recipe.internal))
    rows = []
    for abi in measured:
        place = baseline.path_of(loaded.recipes[abi.recipe].directory, abi)
        make_dirs(place.parent)
        write_atomic(place, baseline.content(abi))
        rows.append({"recipe": abi.recipe, "release": abi.release, "platform": abi.platform, "file": str(place)})
    if args.json:
        output.print_json(rows)
    for row in rows if not args.json else ():
        print(f"{row['recipe']} {row['release']}: pinned in {row['file']}")
    return 0


def _refuse(abi: Abi, pinned: Accepted) -> None:
    from farm.gates.abi import judge

    same = pinned.releases.get(abi.release, {}).get(abi.platform)
    if same is not None and same.typed and not abi.typed:
        raise GateError(
            "is pinned with types, which its exports alone would take away",
            where=f"{abi.recipe} {abi.release} for {abi.platform}",
            fix="leave out --exports, or remove the file first",
        )
    older = pinned.before(abi)
    newer = pinned.after(abi)
    findings = [finding for held_to in (same, older) if held_to for finding in judge(held_to, abi)]
    findings += judge(abi, newer) if newer else ()
    if any(finding.severity is Severity.ERROR for finding in findings):
        facts = "\n".join(finding.fact for finding in findings)
        raise GateError(facts, where=f"{abi.recipe} {abi.release}", fix=findings[0].fix)


def _platforms(args: argparse.Namespace, loaded: Catalog) -> Sequence[str]:
    from farm.cli import wanted
    from farm.plan.selection import wanted_platforms

    return wanted_platforms(loaded, args.platform or wanted.own_platforms(loaded))


def _typed(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> Iterator[Abi]:
    """Measured where that was not done before: that takes a build of its own."""
    from farm.cli import measuring

    for text in args.release:
        for platform in _platforms(args, loaded) if args.platform else (None,):
            yield measuring.abi_of(text, platform, loaded, settings, quiet=args.json)


def _exported(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> Iterator[Abi]:
    """What stored wheels, and builds that a gate refused, export, of platforms for which no pin says just that. A
    platform without a file of its own is held to one of its class, so each class needs one and platforms that differ
    need theirs."""
    from farm.abi import baseline

    for text in args.release:
        new: dict[str, dict[str, Abi]] = {}
        found = list(_stored(text, args, loaded, settings))
        if not found:
            raise UsageError(f"the store has no wheel of {text}", fix=f"farm build {text}, or leave out --exports")
        for abi in found:
            recipe = loaded.recipes[abi.recipe]
            pins = baseline.load(recipe.directory, recipe.internal).releases
            known = baseline.Accepted(releases={abi.release: {**pins.get(abi.release, {}), **new.get(abi.release, {})}})
            held_to = known.closest(abi.release, abi)
            if held_to is None or _differ(held_to, abi):
                new.setdefault(abi.release, {})[abi.platform] = abi
                yield abi
            elif not args.json:
                print(f"{abi.recipe} {abi.release} for {abi.platform}: exports what is pinned for {held_to.platform}")


def _stored(text: str, args: argparse.Namespace, loaded: Catalog, settings: Settings) -> Iterator[Abi]:
    from farm.catalog import retired
    from farm.cli import measuring
    from farm.store.artifacts import open_store

    store = open_store(settings)
    loaded = retired.for_release(loaded, text)
    for step in measuring.steps_of(text, _platforms(args, loaded), loaded)[1]:
        found = _export(step, loaded.recipes[step.recipe].recipe, store, settings)
        if found is not None:
            yield found
        elif not args.json:
            print(f"{step.recipe} {step.version} for {step.platform}: not built here, so not looked at")


def _export(step: Step, recipe: Recipe, store: Store, settings: Settings) -> Abi | None:
    """What the stored wheel of a step exports, or its finished build that a gate refused."""
    from farm import measure
    from farm.build import finished
    from farm.build.result import BuiltLibrary

    wheel = store.get(step.key)
    if wheel is not None:
        return measure.exports_of_wheel(step, store.path(wheel), recipe)
    built = finished.again(step, settings, BuiltLibrary)
    if built is None:
        return None
    try:
        return measure.exports_of_build(step, built, recipe)
    finally:
        built.workspace.release()


def _differ(pinned: Abi, found: Abi) -> bool:
    from farm.abi.compare import compare

    return any(change.library for change in compare(pinned, found).changes)
