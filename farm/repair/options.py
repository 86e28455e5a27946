"""What a repair is asked for: by whoever calls it, or by the recipe of the wheel."""

from __future__ import annotations

from dataclasses import dataclass

from farm.model.recipe import Recipe
from farm.model.recipe_source import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOptions:
    """`platform` is the tag the wheel gets, after a check; None keeps a manylinux tag and computes one for ``linux_*``.
    `epoch_seconds` dates new members; None takes the wheel's own date. `requires` are further requirements (PEP 508),
    added unless the wheel has the very line; `build` is the build tag, None keeps what the wheel has. `strip_debug`
    takes the debug information out of ELF files, and the debug map out of Mach-O files. `linked`: the wheel was
    compiled against the releases of the natives that are given, so it asks for no older ones."""

    platform: str | None = None
    epoch_seconds: int | None = None
    requires: tuple[str, ...] = ()
    build: str | None = None
    strip_debug: bool = False
    linked: bool = False


def of_recipe(
    recipe: Recipe, release: Release, *, platform: str | None = None, epoch_seconds: int | None = None
) -> RepairOptions:
    """What the recipe of a dependent asks for, wherever its release was built."""
    return RepairOptions(
        platform=platform,
        epoch_seconds=epoch_seconds,
        requires=recipe.requires.run,
        build=str(release.revision) if release.revision else None,
        strip_debug=True,
        linked=True,
    )
