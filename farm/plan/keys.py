"""The inputs of build keys, split per field so that `farm why` can say what changed; `farm.plan.compose` hashes them.

A key covers what the wheel's bytes depend on and nothing else (docs/decisions/003). Fields that are left at their
default are left out, so a new field of the file format changes no key until a recipe uses it; fields are *excluded*
by name, so a new field that nobody thought about here is in the key once it is used: stale wheels are the worse fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from farm.model.plan import KeyInput
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.model.toolchain import Toolchain
from farm.plan.canonical import Hashed, Inputs, Shown, fields, set_fields
from farm.plan.effective import Effective
from farm.plan.requirements import parse_host

BUILD_RULES = 2
"""Raised when the farm itself starts to make other bytes out of the same inputs: then everything is built again."""

_DEPENDENT_RULES = {"macho": "1"}
"""The same for the dependents of one binary format."""

# Recipe tables that are not flattened: handled below, or no part of the bytes (tests, native, audit, watch, rebuild).
_RECIPE_EXCLUDED = frozenset(
    {
        "format",
        "provides",
        "release",
        "retired",
        "requires",
        "build",
        "when",
        "products",
        "abi",
        "variant",
        "tests",
        "native",
        "audit",
        "watch",
        "rebuild",
    }
)
_ABI_EXCLUDED = frozenset({"epoch", "internal"})  # a release's own epoch counts; what is internal is judged, not built
_PRODUCTS_EXCLUDED = frozenset({"imports"})  # only tests import
_VARIANT_EXCLUDED = frozenset({"platform"})  # only decides whether the variant is in the key at all
# Policy of audits and the choice of a runner: they judge the wheel, they do not make it.
_TOOLCHAIN_EXCLUDED = frozenset({"format", "system_libraries", "run", "python_platform"})

_NONE: frozenset[str] = frozenset()
TOOLCHAIN = "toolchain."  # before the label of what a toolchain gives
ABI_EPOCH = "abi.epoch"
STABLE_ABI = "build.abi3"  # the label of the oldest Python that a wheel of the stable ABI is for
REQUIRES = "requires "  # before a recipe's name: the label of what a step is built against
_PATCH = "patch "
PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAbi:
    """What a library's wheel says of its ABI: the release's `epoch`; `baseline`, the oldest release of that whose ABI
    is pinned, else the release itself; `pinned`, the files of its older releases, relative to the recipe's directory,
    that tell which of them brought a symbol."""

    epoch: int
    baseline: str
    pinned: tuple[str, ...]


def recipe_inputs(
    recipe: Recipe,
    release: Release,
    effective: Effective,
    file_digest: Callable[[str], str],
    *,
    abi: ReleaseAbi | None,
) -> tuple[KeyInput, ...]:
    """The inputs a recipe gives: the same for all platforms that match the same `[[when]]` rows and variants.

    `file_digest` gives the sha256 of a file by its path in the recipe's directory; `abi` is None for a dependent.
    """
    shown = Shown()
    _recipe(shown, recipe, release, effective, file_digest, abi)
    return shown.inputs()


def recipe_digest(
    recipe: Recipe,
    release: Release,
    effective: Effective,
    file_digest: Callable[[str], str],
    *,
    abi: ReleaseAbi | None,
) -> str:
    """The group digest of `recipe_inputs`, without making them."""
    hashed = Hashed()
    _recipe(hashed, recipe, release, effective, file_digest, abi)
    return hashed.digest()


def _recipe(
    into: Inputs,
    recipe: Recipe,
    release: Release,
    effective: Effective,
    file_digest: Callable[[str], str],
    abi: ReleaseAbi | None,
) -> None:
    into.value("rules", str(BUILD_RULES))
    fields(into, "", recipe, _RECIPE_EXCLUDED)
    _release(into, release)
    for name in effective.patches:
        into.known(f"{_PATCH}{name}", file_digest(f"patches/{name}"))
    _requires(into, recipe, effective, file_digest)
    fields(into, "build.", effective.build, _NONE)
    fields(into, "products.", effective.products, _PRODUCTS_EXCLUDED)
    if recipe.abi is not None and abi is not None:
        fields(into, "abi.", recipe.abi, _ABI_EXCLUDED)
        into.value(ABI_EPOCH, abi.epoch)
        into.value("abi.baseline", abi.baseline)
        for name in abi.pinned:
            into.known(name, file_digest(name))
    for variant in effective.variants:
        fields(into, f"variant {variant.level}.", variant, _VARIANT_EXCLUDED)


def toolchain_inputs(toolchain: Toolchain, *, dependent: bool) -> tuple[KeyInput, ...]:
    """The inputs a toolchain gives. Tables are split too: ``toolchain.flags.c``.

    All hashes of the compiler count, also those for other build machines: that two build machines make the same
    bytes is a claim nobody has proven.
    """
    shown = Shown()
    for name, value in set_fields(toolchain, _TOOLCHAIN_EXCLUDED):
        if isinstance(value, BaseModel):
            fields(shown, f"{TOOLCHAIN}{name}.", value, _NONE)
        else:
            shown.value(f"{TOOLCHAIN}{name}", value)
    if dependent:
        shown.value(f"{TOOLCHAIN}python_platform", toolchain.python_platform)
        if toolchain.binary in _DEPENDENT_RULES:
            shown.value("rules of dependents", _DEPENDENT_RULES[toolchain.binary])
    return shown.inputs()


def python_inputs(tag: str, sdk: str) -> tuple[KeyInput, ...]:
    """The inputs of a dependent's Python: its tag and, where known, the digest of its headers and sysconfig data."""
    shown = Shown()
    shown.value(PYTHON, tag)
    if sdk:
        shown.known(f"{PYTHON} sdk", sdk)
    return shown.inputs()


def requires_input(recipe: str, version: str, key: str) -> KeyInput:
    """The input that a step's wheel is to the steps built against it."""
    return KeyInput(label=f"{REQUIRES}{recipe}", digest=key, shown=version)


def _release(into: Inputs, release: Release) -> None:
    into.value("release.version", release.version)
    if release.revision:
        into.value("release.revision", str(release.revision))
    for number, source in enumerate(release.source, 1):
        # The hashes say what the content is; where it comes from does not matter.
        hashes = sorted({location.sha256 for location in source.location})
        # What it is called in the tree matters only for a plain file.
        name = [] if source.unpack else [source.file_name]
        place = [source.into, *name] if name or source.into != "." else []
        into.hidden(f"source {number}", [*place, *hashes])


def _requires(into: Inputs, recipe: Recipe, effective: Effective, file_digest: Callable[[str], str]) -> None:
    requires = recipe.requires
    if requires.host:  # what is linked *directly*; the bounds only choose releases, whose keys are inputs
        into.value("requires.host", [parse_host(text).name for text in requires.host])
    if effective.tools:
        into.value("requires.tools", effective.tools)
    if requires.python:
        into.known("requires.python", file_digest(requires.python))
    if requires.run:
        into.value("requires.run", requires.run)
