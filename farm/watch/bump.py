"""A new release for a recipe: everything is found out first, then one file is replaced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from farm.catalog import loader
from farm.catalog.values import Catalog
from farm.errors import CatalogError, UsageError
from farm.fetch.download import Progress
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.model.recipe_upkeep import Watch
from farm.settings import Settings
from farm.store.files import dir_lock, disk_errors, write_atomic
from farm.watch import gather, look, patches, recipefile, versions
from farm.watch.gather import Gathered
from farm.watch.patches import Tried
from farm.watch.values import Asking, Offer, Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Bump:
    """A recipe with one more release. `before` is the release that the new one was made from; `text` the recipe's whole
    new text, for `path`, whose text was `old_text`."""

    recipe: str
    before: str
    version: str
    path: Path
    old_text: str
    text: str
    sources: tuple[Gathered, ...]
    patches: tuple[Tried, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingNew:
    """The recipe has the release already."""

    recipe: str
    version: str


def target(recipe: Recipe, wanted: str, asking: Asking, *, prereleases: bool = False) -> Offer:
    """The release to add: the version that is wanted, else the newest that upstream has.

    Raises UsageError if it is no version, or nobody knows the newest: then naming one helps.
    """
    if wanted:
        version = versions.of_name(wanted)
        if version is None:
            raise UsageError(f"{wanted!r} is not a PEP 440 version", where=recipe.name, fix="write it as 1.2.3")
        return Offer(version=version, text=versions.plain(wanted))
    if recipe.watch is None:
        raise UsageError(
            f"{recipe.name} has no [watch] table, so its newest release is not known",
            fix=f"farm recipe bump {recipe.name}=VERSION, or add [watch] to the recipe",
        )
    return _newest(recipe, recipe.watch, asking, prereleases)


def _newest(recipe: Recipe, watch: Watch, asking: Asking, prereleases: bool) -> Offer:
    answer = look.ask([watch], asking)[watch]
    if isinstance(answer, Silence):
        said = "has no release" if answer.reached else "cannot be reached"
        raise UsageError(
            f"upstream of {recipe.name} {said}: {answer.why}", fix=f"farm recipe bump {recipe.name}=VERSION"
        )
    offers = look.eligible(recipe, answer, prereleases=prereleases)
    if not offers:
        raise UsageError(f"upstream of {recipe.name} has only prereleases", fix="--pre takes them")
    return offers[-1]


def prepare(
    catalog: Catalog,
    name: str,
    wanted: str,
    asking: Asking,
    settings: Settings,
    *,
    prereleases: bool = False,
    progress: Progress | None = None,
) -> Bump | NothingNew:
    """Find out all that a new release needs: its archives and their hashes, which patches fit, the recipe's new text.

    Nothing is written but caches. Raises UsageError, SourceError, UnreachableError, CatalogError if the recipe would
    have faults that it has not now.
    """
    loaded = catalog.recipes[name]
    recipe = loaded.recipe
    new = target(recipe, wanted, asking, prereleases=prereleases)
    have = {Version(release.version) for release in recipe.history}
    if new.version in have or (not wanted and new.version < max(have)):
        return NothingNew(recipe=name, version=recipe.current.version if new.version not in have else new.text)
    older = [release for release in recipe.release if Version(release.version) < new.version]
    before = older[-1] if older else recipe.release[0]
    found = gather.sources(before, new, loaded.directory, settings.downloads, asking, progress)
    table = _table(before, new, found)
    old_text = loaded.path.read_bytes().decode()
    text = recipefile.with_release(old_text, table, file=f"recipes/{name}/recipe.toml")
    tried = patches.try_all(
        recipe, Release.model_validate(table), loaded.directory, sorted(catalog.toolchains), settings
    )
    lint(catalog, name, text)
    return Bump(
        recipe=name,
        before=before.version,
        version=new.text,
        path=loaded.path,
        old_text=old_text,
        text=text,
        sources=found,
        patches=tried,
    )


def _table(before: Release, new: Offer, found: tuple[Gathered, ...]) -> dict[str, Any]:
    """The new `[[release]]` as it is written: what the one before says of itself but for its revision."""
    own = before.model_dump(exclude_unset=True, exclude={"version", "revision", "source"}, mode="json")
    sources = [item.source.model_dump(exclude_unset=True, mode="json") for item in found]
    return {"version": new.text, **own, "source": sources}


def lint(catalog: Catalog, name: str, text: str) -> None:
    """Check the whole catalog as it would be with this text of one recipe. Raises CatalogError with what is new."""
    faults = loader.examine(catalog.root, instead={name: text.encode()})[1]
    before = {str(fault) for fault in loader.examine(catalog.root)[1]} if faults else set()
    said = [str(fault) for fault in faults if str(fault) not in before]
    if said:
        raise CatalogError(said, fix="the recipe was left as it is: add the [[release]] by hand")


def write(bump: Bump) -> None:
    """Replace the recipe. Raises UsageError if somebody changed it since it was read, StoreError for a full disk."""
    with disk_errors(bump.path.parent), dir_lock(bump.path.parent):
        if bump.path.read_bytes().decode("utf-8", "replace") != bump.old_text:
            raise UsageError("was changed while the release was looked at", where=str(bump.path), fix="run it again")
        write_atomic(bump.path, bump.text.encode(), mode=bump.path.stat().st_mode & 0o777)
