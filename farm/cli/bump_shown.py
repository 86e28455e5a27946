"""A bump as it is shown: for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farm.cli import output

if TYPE_CHECKING:
    from farm.watch.bump import Bump, NothingNew
    from farm.watch.gather import Gathered
    from farm.watch.patches import Tried


def document(found: Bump | NothingNew) -> dict[str, Any]:
    """A bump for programs."""
    from farm.watch.bump import NothingNew

    if isinstance(found, NothingNew):
        return {"recipe": found.recipe, "version": found.version, "state": "present"}
    return {
        "recipe": found.recipe,
        "version": found.version,
        "state": "added",
        "before": found.before,
        "sources": [
            {
                "kept": item.is_kept,
                "size": item.size,
                "locations": [location.model_dump() for location in item.source.location],
                "left_out": list(item.left_out),
            }
            for item in found.sources
        ],
        "patches": [{"name": tried.name, "fit": tried.fit, "why": tried.why} for tried in found.patches],
    }


def lines(found: Bump | NothingNew) -> list[str]:
    """A bump for people."""
    from farm.watch.bump import NothingNew

    if isinstance(found, NothingNew):
        return [f"{found.recipe} {found.version} is there: nothing to add"]
    return [
        f"{found.recipe} {found.before} -> {found.version}",
        *(line for item in found.sources for line in _source(item)),
        *(line for tried in found.patches for line in _patch(tried)),
    ]


def _source(item: Gathered) -> list[str]:
    if item.is_kept:
        return [f"  same as before: {item.source.location[0].url}"]
    size = output.human_size(item.size)
    return [
        *(f"  source: {location.url} ({size}), sha256 {location.sha256}" for location in item.source.location),
        *(f"  left out: {reason}" for reason in item.left_out),
    ]


def _patch(tried: Tried) -> list[str]:
    return [f"  patch {tried.name}: {tried.fit}", *(f"    {line}" for line in tried.why.splitlines()[1:])]
