"""One file that may be had from several locations, from the first that answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from farm.errors import UnreachableError
from farm.fetch import download
from farm.fetch.download import HOSTS, CannotReachError, Hosts, Progress
from farm.fetch.limit import limit_of
from farm.fetch.locations import CannotResolveError, addresses
from farm.model.recipe_source import Location


def obtain(
    locations: Sequence[Location],
    beside: Path,
    downloads: Path,
    *,
    what: str = "this source",
    progress: Progress | None = None,
    hosts: Hosts = HOSTS,
) -> Path:
    """The file in the cache, from the first location that answers; ``file:`` locations lie below `beside`.

    A file of any of the locations' hashes that is in the cache already is taken without asking anybody. Raises
    SourceError at once for a wrong hash or a file above its limit (a mirror that lies is a fact somebody must see, no
    reason to go on),
    UnreachableError with every location and its reason if none answers.
    """
    for location in locations:
        found = download.cached(downloads, location.sha256)
        if found is not None:
            return found
    reasons: list[str] = []
    for location in locations:
        found = _try(location, beside, downloads, progress, hosts, reasons)
        if found is not None:
            return found
    raise UnreachableError(
        f"no location of {what} can be reached:\n" + "\n".join(f"  {reason}" for reason in reasons),
        fix="check the network, or put the file into the cache: "
        + " or ".join(f"{downloads / at.sha256}/" for at in locations[:1]),
    )


def _try(
    location: Location, beside: Path, downloads: Path, progress: Progress | None, hosts: Hosts, reasons: list[str]
) -> Path | None:
    try:
        found = addresses(location.url, beside)
    except CannotResolveError as error:
        reasons.append(f"{location.url}: {error}")
        return None
    for address in found:
        try:
            name = filename(location.url)
            limit = limit_of(location)
            return download.fetch(
                address, location.sha256, name, downloads, limit=limit, progress=progress, hosts=hosts
            )
        except CannotReachError as error:
            via = "" if address == location.url else f" (at {address})"
            reasons.append(f"{location.url}{via}: {error}")
    return None


def filename(url: str) -> str:
    """What the file of a location is called."""
    name = url.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]
    return name.rpartition(":")[2].lstrip(".") or "source"
