"""How large a download may be: policy beside each location of the catalog (`max_mb`). So no mirror fills a disk."""

from __future__ import annotations

from dataclasses import dataclass

from farm.errors import SourceError
from farm.model.recipe_source import MAX_MB, Location

_MB = 1_000_000


class TooLargeError(SourceError):
    """A download is larger than its location allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A largest size in megabytes, and what raises it, for people."""

    mb: int = MAX_MB
    raised_by: str = "download it by hand, look at it, and name the file"

    def check(self, url: str, size: int) -> None:
        """Raise TooLargeError if a download of this URL, so far or as announced, has more bytes."""
        if size > self.mb * _MB:
            raise TooLargeError(
                f"is larger than {self.mb} MB ({size / _MB:.0f} MB so far, or announced); nothing of it was kept",
                where=url,
                fix=f"a release is rarely so large: look at what the address gives; if it is right, {self.raised_by}",
            )


LIMIT = Limit()


def limit_of(location: Location) -> Limit:
    """What a location of the catalog allows."""
    field = f"`max_mb` of the location {location.url} ({location.max_mb} now)"
    return Limit(mb=location.max_mb, raised_by=f"raise {field} in its recipe or toolchain file")
