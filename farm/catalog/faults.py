"""How faults are said: ``recipes/gmp/recipe.toml: [build] args: why``."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

Location = Sequence[str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong. `at` leads to the key, with 0-based indexes for repeated tables and list items."""

    file: str
    at: tuple[str | int, ...] = ()
    why: str

    def __str__(self) -> str:
        place = place_of(self.at)
        return f"{self.file}: {place}: {self.why}" if place else f"{self.file}: {self.why}"


def place_of(at: Location) -> str:
    """A location for people: ``[release #2, source #1] into``; indexes count from 1, top-level keys have no table."""
    parts: list[str] = []
    for part in at:
        if isinstance(part, int) and parts:
            parts[-1] += f" #{part + 1}"
        else:
            parts.append(str(part))
    if len(parts) <= 1:
        return "".join(parts)
    return f"[{', '.join(parts[:-1])}] {parts[-1]}"


def from_validation(file: str, model: type[BaseModel], error: ValidationError) -> list[Fault]:
    """The faults that pydantic found, in the words of recipe files."""
    return [
        Fault(file=file, at=tuple(item["loc"]), why=_why(model, item["type"], item["loc"], item["msg"], item["input"]))
        for item in error.errors(include_url=False)
    ]


def _why(model: type[BaseModel], kind: str, at: Location, message: str, value: object) -> str:
    if kind == "extra_forbidden":
        return f"is not a known key{did_you_mean(str(at[-1]), _fields_at(model, at[:-1]))}"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch" or kind in ("string_too_long", "literal_error"):
        return f"{value!r} is not allowed: {message[:1].lower()}{message[1:]}"
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:] if kind != "value_error" else text


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'args'?` if something is near, else the empty string."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fields_at(model: type[BaseModel], at: Location) -> list[str]:
    """The keys of the table at a location of a model."""
    current: type[BaseModel] | None = model
    for part in at:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if current else None
        current = table_in(field.annotation) if field else None
    return list(current.model_fields) if current else []


def table_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``tuple[Model, ...]``, ``Model | None`` or an annotated form of them."""
    if typing.get_origin(annotation) is None and isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for arg in typing.get_args(annotation) if (found := table_in(arg))), None)
