"""Measure the ABI of a step's release: a build with debug information beside the shipped one, read by libabigail.

Types are read on ELF, where debug information says them; of other formats the exports are all there is.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from farm.abi import header_text, library, parse, surface, text
from farm.build.library import build_library
from farm.build.result import BuiltLibrary
from farm.catalog import Catalog
from farm.errors import CatalogError
from farm.model.abi import Abi, AbiLibrary
from farm.model.binary import BinaryFormat, Linkage
from farm.model.mangling import PLAIN, Mangling
from farm.model.plan import Step
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.plan.epochs import epoch_of
from farm.process import Cancel
from farm.settings import Settings
from farm.store.files import make_dirs, write_atomic
from farm.wheel import native_libraries
from farm.wheel.archive import WheelArchive

RULES = 4
"""Raised when another description is made of the same build."""


def measured(
    step: Step,
    catalog: Catalog,
    deps: Mapping[str, Path],
    settings: Settings,
    log: Path,
    report_phase: Callable[[str], None],
    *,
    cancel: Cancel | None = None,
) -> Abi:
    """The ABI of a library step, from FARM_HOME if it was measured before.

    `deps` maps what the step requires to native wheels. Raises what `build_library` raises, MissingToolError without
    `abidw`, BinaryFormatError for debug information that it cannot read.
    """
    recipe, toolchain = catalog.recipes[step.recipe], catalog.toolchains[step.platform]
    if (before := kept(step, settings, recipe.recipe)) is not None:
        return before
    require_tools(toolchain)
    typed = BinaryFormat(toolchain.binary) is BinaryFormat.ELF
    with build_library(step, recipe, toolchain, deps, settings, log, report_phase, cancel, debug=typed) as built:
        report_phase("abi")
        found = _describe(step, built, recipe.recipe, cancel)
    place = _place(step, settings)
    make_dirs(place.parent)
    write_atomic(place, text.write(found).encode())
    return found


def kept(step: Step, settings: Settings, recipe: Recipe) -> Abi | None:
    """The ABI of a library step as it was measured before; None if it was not, or if what was kept is damaged."""
    place = _place(step, settings)
    with contextlib.suppress(FileNotFoundError, CatalogError, UnicodeDecodeError):
        found = parse.read(place.read_text("utf-8"), str(place))
        if (found.recipe, found.release, found.platform) == (step.recipe, step.version, step.platform):
            return replace(found, libraries=_public(found.libraries, recipe))
    return None


def _public(libraries: Mapping[str, AbiLibrary], recipe: Recipe) -> Mapping[str, AbiLibrary]:
    return {name: surface.without(library, recipe.internal) for name, library in libraries.items()}


def _place(step: Step, settings: Settings) -> Path:
    return settings.abi / f"{step.key}-{RULES}.abi"


def require_tools(toolchain: Toolchain) -> None:
    """Raise MissingToolError if this machine lacks what measuring needs: better before a build than after it."""
    if BinaryFormat(toolchain.binary) is BinaryFormat.ELF:
        library.abidw()


def exports(step: Step, built: BuiltLibrary, recipe: Recipe) -> Abi:
    """The ABI of a build as its exports alone tell: without constants of headers, which are judged with types."""
    return replace(exports_of_build(step, built, recipe), headers={})


def exports_of_build(step: Step, built: BuiltLibrary, recipe: Recipe) -> Abi:
    """The exports of a build and the constants of its headers: what can be pinned without a build for debugging."""
    linkages = {linked.link_name: library.linkage_of(linked.path) for linked in built.libraries}
    return _exported(step, recipe, linkages, built.headers)


def exports_of_wheel(step: Step, wheel: Path, recipe: Recipe) -> Abi:
    """The same from a native wheel of the step, built when it may. Raises BinaryFormatError for one that is damaged."""
    known = {each.library.link_name: each.linkage for each in native_libraries.load((wheel,))}
    with tempfile.TemporaryDirectory(prefix="farm-abi-") as scratch:
        with WheelArchive.open(wheel) as archive:
            archive.extract(Path(scratch), prefix=f"{recipe.import_name}/include/")
        return _exported(step, recipe, known, Path(scratch) / recipe.import_name / "include")


def _exported(step: Step, recipe: Recipe, linkages: Mapping[str, Linkage], include: Path) -> Abi:
    headers = _headers(include, recipe)
    named = header_text.names_in(headers)
    libraries = {name: surface.symbols_of(at, named, _mangling(recipe, name)) for name, at in linkages.items()}
    return _abi(step, recipe, libraries, next(iter(linkages.values())), header_text.constants_of(include, headers))


def _describe(step: Step, built: BuiltLibrary, recipe: Recipe, cancel: Cancel | None) -> Abi:
    headers = _headers(built.headers, recipe)
    libraries = {
        linked.link_name: library.describe(
            linked.unstripped, built.headers, headers, _mangling(recipe, linked.link_name), cancel=cancel
        )
        for linked in built.libraries
    }
    one = library.linkage_of(built.libraries[0].path)
    return _abi(step, recipe, libraries, one, header_text.constants_of(built.headers, headers))


def _mangling(recipe: Recipe, link_name: str) -> Mangling:
    return next((product.mangling for product in recipe.products.library if product.name == link_name), PLAIN)


def _headers(include: Path, recipe: Recipe) -> list[Path]:
    """The public headers below a directory: what the recipe's products name."""
    return sorted({path for glob in recipe.products.headers for path in include.glob(glob) if path.is_file()})


def _abi(
    step: Step,
    recipe: Recipe,
    libraries: Mapping[str, AbiLibrary],
    one: Linkage,
    headers: Mapping[str, Mapping[str, str]] | None = None,
) -> Abi:
    """`one` is any of the libraries: they are of one class."""
    return Abi(
        recipe=step.recipe,
        release=step.version,
        epoch=epoch_of(recipe, step.version),
        platform=step.platform,
        abi_class=surface.class_of(one),
        libraries=_public(libraries, recipe),
        headers=headers or {},
    )
