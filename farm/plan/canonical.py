"""Values of recipes and toolchains as what their keys hash: canonical JSON, defaults left out. Pure.

A plan of a large catalog is mostly this, so it is written to be quick: nothing is made twice that recipes have in
common, and what only people read (`KeyInput`) is made when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Protocol

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from farm.model.plan import KeyInput

_SHOWN = 200
_KEPT = 4096  # lines that many recipes have in common: ``license MIT``


class Inputs(Protocol):
    """Takes the inputs of a key one after the other."""

    def value(self, label: str, value: Any) -> None:
        """A value of a file: text, or what JSON has, or a table."""
        ...

    def hidden(self, label: str, value: Any) -> None:
        """The same for a value that says nothing to people."""
        ...

    def known(self, label: str, digest: str) -> None:
        """Something whose sha256 is known."""
        ...


class Shown:
    """Inputs as `farm why` compares them, with short values for people."""

    def __init__(self) -> None:
        self._inputs: list[KeyInput] = []

    def value(self, label: str, value: Any) -> None:
        self._inputs.append(KeyInput(label=label, digest=digest_of(value), shown=_shown(value)))

    def hidden(self, label: str, value: Any) -> None:
        self.known(label, digest_of(value))

    def known(self, label: str, digest: str) -> None:
        self._inputs.append(KeyInput(label=label, digest=digest))

    def inputs(self) -> tuple[KeyInput, ...]:
        """All of them, in order."""
        return tuple(self._inputs)


class Hashed:
    """The same inputs when only their common digest is wanted."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def value(self, label: str, value: Any) -> None:
        if value.__class__ is str or (value.__class__ is tuple and (not value or value[0].__class__ is str)):
            line = _lines.get((label, value))
            if line is None:
                line = f"{label}\0{digest_of(value)}\n"
                if len(_lines) < _KEPT:
                    _lines[label, value] = line
            self._lines.append(line)
        else:
            self._lines.append(f"{label}\0{digest_of(value)}\n")

    hidden = value

    def known(self, label: str, digest: str) -> None:
        self._lines.append(f"{label}\0{digest}\n")

    def digest(self) -> str:
        """The digest of the group, as `group_digest` makes it from the inputs."""
        return sha256("".join(self._lines))


_lines: dict[tuple[str, Any], str] = {}


def group_digest(inputs: Iterable[KeyInput]) -> str:
    """The digest of inputs that many steps share (one recipe's, one toolchain's)."""
    return sha256("".join([f"{i.label}\0{i.digest}\n" for i in inputs]))


def fields(into: Inputs, prefix: str, model: BaseModel, excluded: frozenset[str]) -> None:
    """Add the fields of a table that differ from their default, in the order of the model."""
    values = model.__dict__
    for name, label, default in _labels(type(model), prefix, excluded):
        value = values[name]
        if value is not default and value != default:
            into.value(label, value)


def set_fields(model: BaseModel, excluded: frozenset[str] = frozenset()) -> list[tuple[str, Any]]:
    """The fields that differ from their default, in the order of the model."""
    values = model.__dict__
    return [(name, values[name]) for name, _, default in _labels(type(model), "", excluded) if values[name] != default]


def digest_of(value: Any) -> str:
    """The sha256 of a text, or of the JSON of anything else."""
    return sha256(value if isinstance(value, str) else as_json(value))


def sha256(text: str) -> str:
    """In hex; texts from the command line may hold surrogates."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def as_json(value: Any) -> str:
    """A value as ``json.dumps(value, sort_keys=True)`` has it, tables by their fields that are set."""
    if isinstance(value, str):
        text: str = encode_basestring_ascii(value)
        return text
    if isinstance(value, list | tuple):
        return f"[{', '.join([as_json(item) for item in value])}]"
    if isinstance(value, BaseModel):
        return f"{{{', '.join(_set_members(value))}}}"
    if isinstance(value, Mapping):
        named = {str(name): item for name, item in value.items()}
        return f"{{{', '.join([_member(name, named[name]) for name in sorted(named)])}}}"
    return json.dumps(value)


def _member(name: str, value: Any) -> str:
    return f"{encode_basestring_ascii(name)}: {as_json(value)}"


def _set_members(model: BaseModel) -> list[str]:
    values = model.__dict__
    return [
        f"{member}{as_json(values[name])}"
        for name, member, default in _members(type(model))
        if values[name] is not default and values[name] != default
    ]


@cache
def _members(model: type[BaseModel]) -> tuple[tuple[str, str, Any], ...]:
    """Field names, sorted, with how members of an object begin and with their defaults."""
    return tuple((name, f"{encode_basestring_ascii(name)}: ", value) for name, value in sorted(_defaults(model)))


@lru_cache(maxsize=1024)
def _labels(model: type[BaseModel], prefix: str, excluded: frozenset[str]) -> tuple[tuple[str, str, Any], ...]:
    return tuple((name, f"{prefix}{name}", value) for name, value in _defaults(model) if name not in excluded)


@cache
def _defaults(model: type[BaseModel]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _default(field)) for name, field in model.model_fields.items())


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _shown(value: Any) -> str:
    """A short form of a value; lists in shell quoting, so that `farm why` can compare their words."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        text = shlex.join(value)
    elif isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values()):
        text = shlex.join(f"{name}={item}" for name, item in sorted(value.items()))
    elif isinstance(value, BaseModel | list | tuple | Mapping):
        return ""
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else ""
