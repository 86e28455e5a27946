"""Build keys: the identity of a step's output, split per field so that `farm why` can say what changed.

A key covers what the wheel's bytes depend on and nothing else (docs/decisions/003). Fields that are left at their
default are left out, so a new field of the file format changes no key until a recipe uses it; fields are *excluded*
by name, so a new field that nobody thought about here is in the key once it is used: stale wheels are the worse fault.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from farm.model.plan import KeyInput
from farm.model.recipe import Recipe, Release
from farm.model.toolchain import Toolchain
from farm.plan.effective import Effective
from farm.plan.requirements import parse_host

BUILD_RULES = 2
"""Raised when the farm itself starts to make other bytes out of the same inputs: then everything is built again."""

_DEPENDENT_RULES = {"macho": "1"}
"""The same for the dependents of one binary format."""

# Recipe tables that are not flattened: handled below, or no part of the bytes (tests, audit, watch, rebuild).
_RECIPE_EXCLUDED = frozenset(
    {
        "format",
        "provides",
        "release",
        "requires",
        "build",
        "when",
        "products",
        "abi",
        "variant",
        "tests",
        "audit",
        "watch",
        "rebuild",
    }
)
_ABI_EXCLUDED = frozenset({"epoch"})  # a release's own counts
_PRODUCTS_EXCLUDED = frozenset({"imports"})  # only tests import
_VARIANT_EXCLUDED = frozenset({"platform"})  # only decides whether the variant is in the key at all
# Policy of audits and the choice of a runner: they judge the wheel, they do not make it.
_TOOLCHAIN_EXCLUDED = frozenset({"format", "system_libraries", "run", "python_platform"})

_SHOWN = 200
_TOOLCHAIN = "toolchain."
ABI_EPOCH = "abi.epoch"
REQUIRES = "requires "  # before a recipe's name: the label of what a step is built against
_PATCH = "patch "
_PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAbi:
    """What a library's wheel says of its ABI: the release's `epoch`; `baseline`, the oldest release of that; `pinned`,
    the files of its older releases, relative to the recipe's directory, that tell which of them brought a symbol."""

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
    inputs = [_text("rules", str(BUILD_RULES)), *_fields("", recipe, _RECIPE_EXCLUDED)]
    inputs += _release_inputs(release)
    inputs += [KeyInput(label=f"{_PATCH}{name}", digest=file_digest(f"patches/{name}")) for name in effective.patches]
    inputs += _requires_inputs(recipe, effective, file_digest)
    inputs += _fields("build.", effective.build, frozenset())
    inputs += _fields("products.", recipe.products, _PRODUCTS_EXCLUDED)
    if recipe.abi is not None and abi is not None:
        inputs += _fields("abi.", recipe.abi, _ABI_EXCLUDED)
        inputs += [_value(ABI_EPOCH, abi.epoch), _text("abi.baseline", abi.baseline)]
        inputs += [KeyInput(label=name, digest=file_digest(name)) for name in abi.pinned]
    for variant in effective.variants:
        inputs += _fields(f"variant {variant.level}.", variant, _VARIANT_EXCLUDED)
    return tuple(inputs)


def toolchain_inputs(toolchain: Toolchain, *, dependent: bool) -> tuple[KeyInput, ...]:
    """The inputs a toolchain gives. Tables are split too: ``toolchain.flags.c``.

    All hashes of the compiler count, also those for other build machines: that two build machines make the same
    bytes is a claim nobody has proven.
    """
    inputs: list[KeyInput] = []
    for name, value in _set_fields(toolchain, _TOOLCHAIN_EXCLUDED):
        if isinstance(value, BaseModel):
            inputs += _fields(f"{_TOOLCHAIN}{name}.", value, frozenset())
        else:
            inputs.append(_value(f"{_TOOLCHAIN}{name}", value))
    if dependent:
        inputs.append(_text(f"{_TOOLCHAIN}python_platform", toolchain.python_platform))
        if toolchain.binary in _DEPENDENT_RULES:
            inputs.append(_text("rules of dependents", _DEPENDENT_RULES[toolchain.binary]))
    return tuple(inputs)


def python_inputs(tag: str, sdk: str) -> tuple[KeyInput, ...]:
    """The inputs of a dependent's Python: its tag and, where known, the digest of its headers and sysconfig data."""
    inputs = (_text(_PYTHON, tag),)
    return (*inputs, KeyInput(label=f"{_PYTHON} sdk", digest=sdk)) if sdk else inputs


def requires_input(recipe: str, version: str, key: str) -> KeyInput:
    """The input that a step's wheel is to the steps built against it."""
    return KeyInput(label=f"{REQUIRES}{recipe}", digest=key, shown=version)


def group_digest(inputs: Iterable[KeyInput]) -> str:
    """The digest of inputs that many steps share (one recipe's, one toolchain's)."""
    return _sha256("".join([f"{i.label}\0{i.digest}\n" for i in inputs]))


def compose(recipe: str, toolchain: str, own: Sequence[KeyInput]) -> str:
    """A build key from the group digests of its recipe and toolchain and the step's own inputs."""
    if not own:
        return _sha256(f"{recipe}\n{toolchain}\n")
    return _sha256(f"{recipe}\n{toolchain}\n" + "".join([f"{i.label}\0{i.digest}\n" for i in own]))


def key_of(inputs: Sequence[KeyInput]) -> str:
    """The build key of a step's inputs, in the step's order: what the planner computes from shared parts."""
    groups: dict[str, list[KeyInput]] = {"recipe": [], "toolchain": [], "own": []}
    for item in inputs:
        groups[_group(item.label)].append(item)
    return compose(group_digest(groups["recipe"]), group_digest(groups["toolchain"]), groups["own"])


def _group(label: str) -> str:
    if label.startswith(_TOOLCHAIN):
        return "toolchain"
    if label.startswith((REQUIRES, f"{_PYTHON} ")) or label == _PYTHON:
        return "own"
    return "recipe"


def _release_inputs(release: Release) -> list[KeyInput]:
    inputs = [_text("release.version", release.version)]
    if release.revision:
        inputs.append(_text("release.revision", str(release.revision)))
    for number, source in enumerate(release.source, 1):
        # The hashes say what the content is; where it comes from does not matter.
        hashes = sorted({location.sha256 for location in source.location})
        # What it is called in the tree matters only for a plain file.
        name = [] if source.unpack else [source.file_name]
        place = [source.into, *name] if name or source.into != "." else []
        inputs.append(_value(f"source {number}", [*place, *hashes], shown=""))
    return inputs


def _requires_inputs(recipe: Recipe, effective: Effective, file_digest: Callable[[str], str]) -> list[KeyInput]:
    inputs = []
    if recipe.requires.host:  # what is linked *directly*; the bounds only choose releases, whose keys are inputs
        inputs.append(_value("requires.host", [parse_host(text).name for text in recipe.requires.host]))
    if effective.tools:
        inputs.append(_value("requires.tools", effective.tools))
    if recipe.requires.python:
        inputs.append(KeyInput(label="requires.python", digest=file_digest(recipe.requires.python)))
    if recipe.requires.run:
        inputs.append(_value("requires.run", recipe.requires.run))
    return inputs


def _fields(prefix: str, model: BaseModel, excluded: frozenset[str]) -> list[KeyInput]:
    return [_value(f"{prefix}{name}", value) for name, value in _set_fields(model, excluded)]


def _set_fields(model: BaseModel, excluded: frozenset[str]) -> list[tuple[str, Any]]:
    """The fields that differ from their default, in the order of the model."""
    values = model.__dict__
    return [
        (name, values[name])
        for name, default in _defaults(type(model))
        if name not in excluded and values[name] != default
    ]


@cache
def _defaults(model: type[BaseModel]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _default(field)) for name, field in model.model_fields.items())


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _text(label: str, value: str) -> KeyInput:
    return KeyInput(label=label, digest=_sha256(value), shown=value if len(value) <= _SHOWN else "")


def _value(label: str, value: Any, *, shown: str | None = None) -> KeyInput:
    if isinstance(value, str):
        return _text(label, value)
    plain = _plain(value)
    return KeyInput(
        label=label,
        digest=_sha256(json.dumps(plain, sort_keys=True, ensure_ascii=True)),
        shown=_shown(plain) if shown is None else shown,
    )


def _plain(value: Any) -> Any:
    """A value as JSON has it; defaults of nested tables are left out for the reason the module gives."""
    if isinstance(value, BaseModel):
        return {name: _plain(item) for name, item in _set_fields(value, frozenset())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value


def _shown(plain: Any) -> str:
    """A short form of a value; lists in shell quoting, so that `farm why` can compare their words."""
    if isinstance(plain, list) and all(isinstance(item, str) for item in plain):
        text = shlex.join(plain)
    elif isinstance(plain, dict) and all(isinstance(item, str) for item in plain.values()):
        text = shlex.join(f"{name}={value}" for name, value in sorted(plain.items()))
    elif isinstance(plain, list | dict):
        return ""
    else:
        text = str(plain)
    return text if len(text) <= _SHOWN else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
