"""From names to a plan: the one way, for the command line and for workers, so that all get the same keys."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from farm.catalog.values import Catalog
from farm.model.plan import Plan


def make_plan(
    catalog: Catalog, *, recipes: Sequence[str] = (), platforms: Sequence[str] = (), pythons: Sequence[str] = ()
) -> Plan:
    """The plan of some recipes (``name`` or ``name@version``; none: all) for some platforms (tags or globs) and Pythons
    (``3.13``; default: the farm's own). Raises PlanError, UsageError."""
    from farm.plan import planner, selection
    from farm.plan.values import Wanted

    tags = tuple(selection.python_tag(text) for text in pythons) or (own_python(),)
    needed = _pythons_needed(catalog, recipes, tags)
    return planner.plan(
        catalog,
        Wanted(
            recipes=tuple(recipes),
            platforms=tuple(platforms),
            pythons=tags,
            sdk=_sdk_digests(catalog, needed),
            without=_without_sdk(catalog, needed),
        ),
    )


def check_pythons(catalog: Catalog, tags: Sequence[str]) -> None:
    """Raises UsageError for a Python (``cp311``) that neither the catalog describes nor this machine has."""
    from farm.build import pysdk_machine
    from farm.errors import MissingToolError, UsageError
    from farm.plan.requirements import python_version

    for tag in tags:
        if tag in catalog.pythons or tag == own_python():
            continue
        try:
            pysdk_machine.find(tag)
        except MissingToolError as error:
            known = ", ".join(sorted(catalog.pythons)) or "none"
            version = python_version(tag)
            raise UsageError(
                f"{error.what} ({known} are described)", where=f"--python {version}", fix=error.fix
            ) from error


def own_python() -> str:
    """The tag of the Python that runs the farm: ``cp311``."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def _pythons_needed(catalog: Catalog, recipes: Sequence[str], tags: Sequence[str]) -> tuple[str, ...]:
    """The Pythons that dependents among the recipes are built with."""
    from farm.plan.selection import needed_to_run

    names = {catalog.providers.get(text.partition("@")[0], "") for text in recipes} - {""} or set(catalog.recipes)
    names.update(needed_to_run(names, lambda name: catalog.recipes[name].recipe))
    dependents = [catalog.recipes[name].recipe for name in names]
    dependents = [recipe for recipe in dependents if recipe.kind == "dependent"]
    stable = (recipe.build.abi3 for recipe in dependents if recipe.build.abi3)
    return tuple(dict.fromkeys((*tags, *stable))) if dependents else ()


def _sdk_digests(catalog: Catalog, tags: Sequence[str]) -> dict[str, str]:
    """Digest of the Python SDK by ``cp311/<platform>``, where there is one: part of dependents' keys.

    It is computed from what the catalog pins: nothing is fetched for a plan.
    """
    if not tags:
        return {}
    from farm.build import pysdk
    from farm.errors import MissingToolError, SourceError

    digests = {}
    for tag in tags:
        for platform, toolchain in catalog.toolchains.items():
            with contextlib.suppress(MissingToolError, SourceError):  # said by the build, if it comes to that
                digests[f"{tag}/{platform}"] = pysdk.digest(tag, toolchain, catalog)
    return digests


def _without_sdk(catalog: Catalog, tags: Sequence[str]) -> dict[str, str]:
    """Why a Python that the catalog describes cannot be built for, by ``cp311/<platform>``."""
    return {
        f"{tag}/{platform}": f"toolchains/pythons/{tag}.toml has no headers for it"
        for tag in tags
        if tag in catalog.pythons
        for platform in catalog.toolchains
        if catalog.pythons[tag].headers_for(platform) is None
    }
