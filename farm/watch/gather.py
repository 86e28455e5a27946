"""The sources of a new release: found, downloaded, checked, unpacked once to see that they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.errors import SourceError, UnreachableError
from farm.fetch import download
from farm.fetch.download import CannotReachError, Progress
from farm.fetch.limit import Limit, limit_of
from farm.fetch.locations import CannotResolveError, addresses
from farm.fetch.obtain import filename
from farm.model.recipe_source import Location, Release, Source
from farm.watch import successor
from farm.watch.successor import Candidate, Missing
from farm.watch.values import Asking, Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One source of the new release. `is_kept`: it does not name the version, so it is the same as before; `left_out`
    are locations of the old release that the new one has not, each with the reason; `size` is that of the file, in
    bytes, from the first location."""

    source: Source
    is_kept: bool
    left_out: tuple[str, ...] = ()
    size: int = 0


def sources(
    before: Release, new: Offer, recipe_dir: Path, downloads: Path, asking: Asking, progress: Progress | None = None
) -> tuple[Gathered, ...]:
    """The sources of the release `new`, from those of the one before it.

    Each location is downloaded, for what it gives is what its hash is of; where a signed index says hash and size,
    they are checked. Raises UnreachableError if a source has no location left, SourceError if none names the version or
    one gives something else than its index says.
    """
    found = tuple(
        _source(source, before.version, new, recipe_dir, downloads, asking, progress) for source in before.source
    )
    if all(item.is_kept for item in found):
        raise SourceError(
            f"no location of {before.version} names its version, so those of {new.text} are not known",
            where=str(recipe_dir / "recipe.toml"),
            fix="add the [[release]] by hand",
        )
    return found


def _source(
    source: Source,
    old: str,
    new: Offer,
    recipe_dir: Path,
    downloads: Path,
    asking: Asking,
    progress: Progress | None,
) -> Gathered:
    following = [(location, successor.of_location(location, old, new, asking)) for location in source.location]
    if all(item is None for _, item in following):
        return Gathered(source=source, is_kept=True)
    kept: list[Location] = []
    left_out: list[str] = []
    size = 0
    for location, item in following:
        if not isinstance(item, Candidate):
            why = item.why if isinstance(item, Missing) else "does not name the version"
            left_out.append(f"{location.url}: {why}")
            continue
        try:
            path, sha256 = _fetch(item, limit_of(location), recipe_dir, downloads, progress)
        except (CannotReachError, CannotResolveError) as error:
            left_out.append(f"{item.url}: {error}")
        else:
            kept.append(location.model_copy(update={"url": item.url, "sha256": sha256}))
            size = size or path.stat().st_size
    if not kept:
        raise UnreachableError(
            f"no location of {new.text} can be had:\n" + "\n".join(f"  {reason}" for reason in left_out),
            where=str(recipe_dir / "recipe.toml"),
            fix="check the version and the network, or add the [[release]] by hand",
        )
    return Gathered(
        source=source.model_copy(update={"location": tuple(kept)}), is_kept=False, left_out=tuple(left_out), size=size
    )


def _fetch(
    item: Candidate, limit: Limit, recipe_dir: Path, downloads: Path, progress: Progress | None
) -> tuple[Path, str]:
    """The file in the cache, and its hash. Raises CannotReachError, CannotResolveError, SourceError."""
    reasons: Sequence[str] = ()
    for address in addresses(item.url, recipe_dir):
        try:
            if not item.sha256:
                return download.fetch_new(address, filename(item.url), downloads, limit=limit, progress=progress)
            name = filename(item.url)
            path = download.fetch(address, item.sha256, name, downloads, limit=limit, progress=progress)
        except CannotReachError as error:
            reasons = (*reasons, str(error))
            continue
        if path.stat().st_size != item.size:
            raise SourceError(
                f"{path.name} has {path.stat().st_size} bytes, its index says {item.size}",
                where=item.url,
                fix="the mirror or its index is damaged: try again later",
            )
        return path, item.sha256
    raise CannotReachError("; ".join(dict.fromkeys(reasons)))
