"""Which patches of a release still apply to the next one: tried on its unpacked sources, as a build would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from farm import process
from farm.build import sources
from farm.errors import SourceError
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan import effective
from farm.settings import Settings
from farm.store.home import remove_tree, work_dir

_PROGRAMS = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Fit(StrEnum):
    """What becomes of a patch."""

    APPLIES = "applies"
    FAILS = "does not apply"
    UPSTREAM = "is in the release already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One patch, and how it fits. `why` is what `patch` says of one that does not."""

    name: str
    fit: Fit
    why: str = ""


def try_all(
    recipe: Recipe, release: Release, recipe_dir: Path, platforms: Iterable[str], settings: Settings
) -> tuple[Tried, ...]:
    """Unpack a release and try its patches and those of `[[when]]` rows, in each order in which a platform has them.

    A patch that fails anywhere fails; those after it are tried without it. Raises SourceError for an archive that
    cannot be unpacked, and as `obtain` does.
    """
    lists = list(dict.fromkeys(effective.merged(recipe, release, platform).patches for platform in platforms))
    results: dict[str, Tried] = {}
    with work_dir(settings.work, f"bump-{recipe.name}") as work:
        clean = work / "clean"
        sources.prepare(release, (), recipe_dir, settings.downloads, settings.sources, clean)
        for number, names in enumerate(lists):
            tree = clean
            if number < len(lists) - 1:  # the last one takes the tree itself
                tree = work / "tree"
                process.run(["cp", "-aT", "--reflink=auto", clean, tree], env=_PROGRAMS, timeout=1200)
            for tried in _try(names, tree, recipe_dir):
                known = results.get(tried.name)
                if known is None or known.fit is Fit.APPLIES:
                    results[tried.name] = tried
            remove_tree(tree)
    return tuple(results.values())


def _try(names: Iterable[str], tree: Path, recipe_dir: Path) -> list[Tried]:
    found = []
    for name in names:
        patch = recipe_dir / "patches" / name
        try:
            sources.apply_patch(tree, patch)
        except SourceError as error:
            fit = Fit.UPSTREAM if sources.has_patch(tree, patch) else Fit.FAILS
            found.append(Tried(name=name, fit=fit, why=error.what))
        else:
            found.append(Tried(name=name, fit=Fit.APPLIES))
    return found
