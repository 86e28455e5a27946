"""Each field of what keys take apart field by field is in them, or known not to be: none is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from catalog_builder import PLATFORM, library
from pydantic import BaseModel

from farm.model.recipe import Recipe, Requires, When
from farm.model.recipe_source import Location, Release, Source
from farm.plan import keys
from farm.plan.effective import merged

SHA = "ab" * 32
# Another value for each field: a new field has to be thought about here.
CHANGED: dict[type[BaseModel], dict[str, Any]] = {
    Release: {
        "version": "9.9",
        "revision": 3,
        "source": (Source(location=(Location(url="https://x.invalid/y.tar.gz", sha256=SHA),)),),
        "patches": ("p.patch",),
    },
    Requires: {"tools": ("m4",), "host": ("gmp",), "python": "build.txt", "run": ("attrs",)},
    Source: {"location": (Location(url="https://x.invalid/y.tar.gz", sha256=SHA),), "into": "sub", "unpack": False},
    Location: {"sha256": SHA},
    When: {
        "platform": ("other",),
        "release": "<0.1",
        "args": ("-x",),
        "make": ("-x",),
        "env": {"X": "1"},
        "cflags": ("-x",),
        "ldflags": ("-x",),
        "patches": ("p.patch",),
        "tools": ("m4",),
        "exports": {"lib": ("more_*",)},
        "in_tree": True,
        "lacks": {"lib": ("lib_*",)},
    },
}
NO_PART = {
    (Release, "abi_epoch"): "the epoch that follows from it is an input of its own",
    (Requires, "dependents"): "other steps of a plan, no other bytes",
    (Requires, "pythons"): "other steps of a plan, no other bytes",
    (Location, "url"): "the hash says what the content is",
    (Location, "max_mb"): "a limit of the download",
    (When, "impossible"): "then there is no step",
}


def digest(recipe: Recipe) -> str:
    release = recipe.release[0]
    return keys.recipe_digest(recipe, release, merged(recipe, release, PLATFORM), lambda path: path, abi=None)


def with_changed(recipe: Recipe, model: type[BaseModel], changes: dict[str, Any]) -> Recipe:
    """The recipe with another value in the one instance of a model that it has."""
    release = recipe.release[0]
    source = release.source[0]
    instances: dict[type[BaseModel], BaseModel] = {
        Release: release,
        Requires: recipe.requires,
        Source: source,
        Location: source.location[0],
        When: recipe.when[0],
    }
    instances[model] = instances[model].model_copy(update=changes)
    if model is Location:
        instances[Source] = source.model_copy(update={"location": (instances[Location],)})
    if model in (Location, Source):
        instances[Release] = release.model_copy(update={"source": (instances[Source],)})
    parts = {"release": (instances[Release],), "requires": instances[Requires], "when": (instances[When],)}
    return recipe.model_copy(update=parts)


@pytest.mark.parametrize(
    ("model", "name"),
    [(model, name) for model in CHANGED for name in model.model_fields if (model, name) not in NO_PART],
    ids=str,
)
def test_a_field_that_changes_changes_the_key(model: type[BaseModel], name: str) -> None:
    recipe = Recipe.model_validate(library("lib", when=[{"args": ["--here"]}]))
    changed = with_changed(recipe, model, {name: CHANGED[model][name]})
    assert digest(changed) != digest(recipe)
