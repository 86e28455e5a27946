"""What must hold for one recipe beyond its schema. Each check yields (location, why)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement

from farm.catalog import releasecheck, watchcheck
from farm.catalog.faults import Fault, did_you_mean
from farm.catalog.releasecheck import NOT_OF_DEPENDENTS, Found
from farm.catalog.values import LoadedRecipe
from farm.model import pypa
from farm.model.recipe import Recipe
from farm.model.recipe_text import PlatformGlob
from farm.model.toolchain import Toolchain
from farm.model.tools import BASIC, EXTRA
from farm.plan.effective import matches
from farm.plan.requirements import parse_host

# A recipe may speak of platforms that this farm has no toolchain for yet; a glob that fits none of these is a typo.
PLATFORMS = (
    *(f"manylinux_2_17_{arch}" for arch in ("x86_64", "i686", "aarch64", "ppc64le")),
    *(f"musllinux_1_2_{arch}" for arch in ("x86_64", "i686", "aarch64", "ppc64le")),
    *("win_amd64", "win32", "win_arm64", "macosx_11_0_arm64", "macosx_10_13_x86_64"),
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PURL = re.compile(r"pkg:[a-z][a-z0-9.+-]*/[^@?#\s]+")


def check(loaded: LoadedRecipe, toolchains: Mapping[str, Toolchain]) -> list[Fault]:
    """The faults of one recipe that need no other recipe."""
    file = f"recipes/{loaded.directory.name}/recipe.toml"
    faults = [Fault(file=file, at=at, why=why) for rule in _RULES for at, why in rule(loaded.recipe)]
    faults += [Fault(file=file, at=at, why=why) for at, why in _files(loaded)]
    if toolchains:  # else there is a fault about that already
        faults += [Fault(file=file, at=at, why=why) for at, why in _platforms(loaded.recipe, toolchains)]
    return faults


def _library(recipe: Recipe) -> Found:
    """Libraries have products and an ABI."""
    if recipe.kind != "library":
        return
    if not recipe.products.library:
        yield ("products", "library"), "is missing: a library recipe links at least one shared library"
    if recipe.abi is None:
        yield ("abi",), "is missing: a library has an ABI epoch, `[abi] epoch = 1`"
    if recipe.build.system == "pep517":
        yield ("build", "system"), "'pep517' builds wheels of Python packages; this recipe is a library"
    if recipe.requires.python:
        yield ("requires", "python"), "is for dependents: a library is built without Python"
    if recipe.native.platform:
        yield (
            ("native", "platform"),
            "is for dependents: native wheels are built by the farm itself, for every platform",
        )


def _dependent(recipe: Recipe) -> Found:
    """Nothing is linked to a dependent, so it has no products and no ABI."""
    if recipe.kind != "dependent":
        return
    products = recipe.products
    for at, value in (
        (("products", "library"), products.library),
        (("products", "headers"), products.headers),
        (("abi",), recipe.abi),
        (("variant",), recipe.variant),
        (("provides",), recipe.provides),
    ):
        if value:
            yield at, NOT_OF_DEPENDENTS
    for i, library in enumerate(products.library):
        for key in ("symbol_prefix", "symbol_suffix"):
            if getattr(library, key):
                yield ("products", "library", i, key), f"{NOT_OF_DEPENDENTS}, so it has no public names"
    if recipe.name.startswith("native-"):
        yield ("name",), "a dependent cannot be called native-...: that is how native wheels are called"


def _license(recipe: Recipe) -> Found:
    try:
        canonical = canonicalize_license_expression(recipe.license)
    except InvalidLicenseExpression:
        yield ("license",), f"{recipe.license!r} is not an SPDX license expression, like 'LGPL-3.0-or-later'"
        return
    if canonical != recipe.license:
        yield ("license",), f"{recipe.license!r} is spelled {canonical!r} by SPDX"


def _requirements(recipe: Recipe) -> Found:
    seen: set[str] = set()
    for i, text in enumerate(recipe.requires.host):
        try:
            name = parse_host(text).name
        except ValueError as error:
            yield ("requires", "host", i), str(error)
            continue
        if name in seen:
            yield ("requires", "host", i), f"{name!r} is required twice"
        seen.add(name)
    upstream = recipe.tests.upstream.requires if recipe.tests.upstream else ()
    texts: list[tuple[tuple[str | int, ...], str]] = []
    texts += [(("requires", "run", i), text) for i, text in enumerate(recipe.requires.run)]
    texts += [(("tests", "upstream", "requires", i), text) for i, text in enumerate(upstream)]
    for at, text in texts:
        try:
            pypa.requirement(text)
        except InvalidRequirement:
            yield at, f"{text!r} is not a PEP 508 requirement"


def _tools(recipe: Recipe) -> Found:
    asked: list[tuple[tuple[str | int, ...], str]] = []
    asked += [(("requires", "tools", i), name) for i, name in enumerate(recipe.requires.tools)]
    asked += [(("when", k, "tools", i), name) for k, row in enumerate(recipe.when) for i, name in enumerate(row.tools)]
    for at, name in asked:
        if name not in BASIC and name not in EXTRA:
            known = sorted({*BASIC, *EXTRA})
            hint = did_you_mean(name, known) or f" (known are {', '.join(known)})"
            yield at, f"{name!r} is no tool that the farm knows{hint}"


def _build(recipe: Recipe) -> Found:
    if recipe.build.system == "script" and not recipe.build.script.strip():
        yield ("build", "script"), 'is missing: `system = "script"` runs it'
    if recipe.build.system != "script" and recipe.build.script:
        yield ("build", "script"), f'is not used by `system = "{recipe.build.system}"`'
    for i, command in enumerate(recipe.build.prepare):
        if not command:
            yield ("build", "prepare", i), "is an empty command"
    tables = [
        (("build", "env"), recipe.build.env),
        *((("when", i, "env"), row.env) for i, row in enumerate(recipe.when)),
    ]
    for at, names in tables:
        for name in names:
            if not _VARIABLE.fullmatch(name):
                yield (*at, name), "is not the name of an environment variable"


def _misc(recipe: Recipe) -> Found:
    if recipe.purl and not _PURL.fullmatch(recipe.purl):
        yield ("purl",), f"{recipe.purl!r} is not a package URL without a version, like 'pkg:generic/gmp'"
    if recipe.audit.dispatched and not recipe.audit.dispatch_reason:
        yield ("audit", "dispatch_reason"), "is missing: say why `dispatched` functions may exceed the baseline"
    names = [library.name for library in recipe.products.library]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield ("products", "library", i, "name"), f"{name!r} is there twice"


_RULES: tuple[Callable[[Recipe], Found], ...] = (
    _library,
    _dependent,
    _license,
    *releasecheck.RULES,
    _requirements,
    _tools,
    _build,
    _misc,
    watchcheck.places,
    watchcheck.schedules,
)


def _files(loaded: LoadedRecipe) -> Found:
    recipe = loaded.recipe
    named: list[tuple[tuple[str | int, ...], str]] = []
    for place, release in releasecheck.placed(recipe):
        named += [((*place, "patches", j), f"patches/{name}") for j, name in enumerate(release.patches)]
        for j, source in enumerate(release.source):
            named += [
                ((*place, "source", j, "location", k, "url"), location.url.removeprefix("file:"))
                for k, location in enumerate(source.location)
                if location.url.startswith("file:")
            ]
    for i, row in enumerate(recipe.when):
        named += [(("when", i, "patches", j), f"patches/{name}") for j, name in enumerate(row.patches)]
    if recipe.requires.python:
        named.append((("requires", "python"), recipe.requires.python))
    if recipe.tests.smoke:
        named.append((("tests", "smoke"), recipe.tests.smoke))
    if not named:
        return
    root = loaded.directory.resolve()
    for at, path in named:
        if why := _file_fault(root, path):
            yield at, why


def _file_fault(root: Path, path: str) -> str:
    """Why a file that a recipe names cannot be used; symbolic links may not lead out of the recipe."""
    place = root / path
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        return f"{path!r} leaves the recipe's directory"
    try:
        if not place.resolve().is_relative_to(root):
            return f"{path!r} is a symbolic link that leaves the recipe's directory"
        if not place.is_file():
            return f"there is no file {path!r} in the recipe's directory"
    except (OSError, RuntimeError) as error:
        return f"{path!r} cannot be read: {error}"
    return ""


def _platforms(recipe: Recipe, toolchains: Mapping[str, Toolchain]) -> Found:
    for i, row in enumerate(recipe.when):
        for j, glob in enumerate(row.platform):
            if not _matched(glob, toolchains):
                yield ("when", i, "platform", j), f"{glob!r} matches no toolchain and no platform the farm knows"
    for j, glob in enumerate(recipe.native.platform):
        if not _matched(glob, toolchains):
            yield ("native", "platform", j), f"{glob!r} matches no toolchain and no platform the farm knows"
    for i, variant in enumerate(recipe.variant):
        for j, glob in enumerate(variant.platform):
            found = _matched(glob, toolchains)
            wrong = [platform for platform in found if not _has_levels(platform, toolchains.get(platform))]
            at = ("variant", i, "platform", j)
            if not found:
                yield at, f"{glob!r} matches no toolchain and no platform the farm knows"
            elif wrong:
                yield at, f"{variant.level} is for x86_64 with glibc only (glibc-hwcaps), not for {', '.join(wrong)}"


def _matched(glob: PlatformGlob, toolchains: Mapping[str, Toolchain]) -> list[str]:
    return sorted(platform for platform in {*toolchains, *PLATFORMS} if matches(platform, (glob,)))


def _has_levels(platform: str, toolchain: Toolchain | None) -> bool:
    """Whether glibc looks into glibc-hwcaps/x86-64-v* on this platform."""
    if toolchain is not None:
        return toolchain.arch == "x86_64" and toolchain.libc == "glibc"
    return platform.startswith("manylinux") and platform.endswith("_x86_64")
