"""Reading channels and generations. Needs no lock: what is named like a generation is whole and never changes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from pathlib import Path

from farm.errors import ChannelMovedError, IndexFormatError
from farm.index.contents import Contents, PublishedFile
from farm.index.generation import Generation, generation_name
from farm.model.channels import is_hidden

_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,40}")
_RESERVED = ("files", "simple")
_NUMBER = re.compile(r"[0-9]{6,18}")


class IndexReader:
    """The channels below `root` (``FARM_HOME/index``)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def channels(self) -> tuple[str, ...]:
        """Channels that have a current generation."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(p.name for p in self.root.iterdir() if p.is_symlink() and _CHANNEL.fullmatch(p.name)))

    def current(self, channel: str) -> Generation | None:
        """What the channel serves, or None if nothing was published yet."""
        number = self.current_number(channel)
        return self.generation(channel, number) if number else None

    def generation(self, channel: str, number: int) -> Generation:
        """Raises IndexFormatError if there is no such generation (any more)."""
        check_channel(channel)
        place = self.root / generation_name(channel, number) / "generation.json"
        try:
            found = Generation.load(place.read_bytes(), str(place))
        except FileNotFoundError:
            raise IndexFormatError(
                f"channel {channel!r} has no generation {number}",
                where=str(self.root),
                fix=f"`farm index generations --channel {channel}` lists them",
            ) from None
        if (found.channel, found.number) != (channel, number):
            raise IndexFormatError(
                f"says it is of {found.name}",
                where=str(place),
                fix="roll back to another generation, then remove this one",
            )
        return found

    def generations(self, channel: str) -> tuple[Generation, ...]:
        """All generations that are kept, oldest first."""
        return tuple(self.generation(channel, number) for number in self.numbers(channel))

    def contents(self, generation: Generation) -> Contents:
        """Everything a generation holds."""
        place = self.path(generation) / "files.json"
        try:
            return Contents.load(place.read_bytes(), str(place))
        except FileNotFoundError:
            fix = f"`farm index repair --channel {generation.channel} {generation.number}` makes it again"
            raise IndexFormatError("is missing", where=str(place), fix=fix) from None

    def files_in(self, generation: Generation) -> tuple[PublishedFile, ...]:
        """The files of a generation, sorted by name."""
        return tuple(self.contents(generation).files.values())

    def live(self, *, besides: Collection[str] = ()) -> frozenset[str]:
        """The sha256 of every file that some generation of some channel offers; `besides` names generations that do not
        count."""
        found: set[str] = set()
        for place in self.root.glob("*@*/files.json"):
            if not place.parent.name.startswith(".") and place.parent.name not in besides:
                with contextlib.suppress(FileNotFoundError):  # a generation that is being forgotten just now
                    found.update(f.sha256 for f in Contents.load(place.read_bytes(), str(place)).files.values())
        return frozenset(found)

    def path(self, generation: Generation) -> Path:
        """The directory of a generation; `simple/` in it is an index URL."""
        return self.root / generation.name

    def current_number(self, channel: str) -> int:
        """The number of the generation that is served; 0 if there is none."""
        check_channel(channel)
        try:
            target = (self.root / channel).readlink().name
        except OSError:  # not there, or not a link
            return 0
        name, _, number = target.partition("@")
        if name != channel or not _NUMBER.fullmatch(number):
            raise IndexFormatError(
                f"points to {target!r}, not to a generation",
                where=str(self.root / channel),
                fix=f"`farm index rollback --channel {channel} NUMBER` points it to one",
            )
        return int(number)

    def check_served(self, channel: str, expected: int | None) -> None:
        """Raises ChannelMovedError if another generation than `expected` is served; None takes any."""
        served = self.current_number(channel)
        if expected is not None and served != expected:
            raise ChannelMovedError(
                f"channel {channel!r} serves generation {served}, not {expected} any more",
                where=str(self.root),
                fix="look at what was published meanwhile: `farm index generations`",
            )

    def numbers(self, channel: str) -> list[int]:
        """The numbers of all generations that are kept, ascending."""
        check_channel(channel)
        tails = (place.name.partition("@")[2] for place in self.root.glob(f"{channel}@*"))
        return sorted(int(tail) for tail in tails if _NUMBER.fullmatch(tail))


def check_channel(channel: str) -> None:
    """Raises IndexFormatError for what cannot be a channel's name."""
    if not _CHANNEL.fullmatch(channel) or channel in _RESERVED:
        raise IndexFormatError(f"{channel!r} is not a channel name", fix="use lower-case letters, digits and hyphens")


def check_offered(channel: str) -> None:
    """Raises IndexFormatError for what people cannot name as a channel to give wheels to: what is no channel's name, or
    is the name of one that a cascade hides its wheels in."""
    check_channel(channel)
    if is_hidden(channel):
        raise IndexFormatError(f"{channel!r} is a name that cascades stage in", fix="choose another name")
