"""One state of a channel, as the JSON file beside its pages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from farm.errors import IndexFormatError
from farm.index import rows
from farm.index.contents import FORMAT, Contents
from farm.model import json_text


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayUse:
    """An overlay that a generation was made with: `sha256` of its document, who signed it, `files` it corrected."""

    name: str
    sha256: str
    signer: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One immutable state of a channel.

    `parent` is the generation it was made from (0: none); `pages` the version of the page format; `size` the bytes of
    all its files together; `added` and `removed` are file names, compared with the parent; `overlays` those that apply.
    """

    channel: str
    number: int
    parent: int
    created: str
    comment: str
    files: int
    projects: int
    size: int
    pages: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    overlays: tuple[OverlayUse, ...] = ()

    @property
    def name(self) -> str:
        """Its directory, and the part of its URL: ``staging@000012``."""
        return generation_name(self.channel, self.number)

    def dump(self) -> bytes:
        """The bytes of ``generation.json``."""
        raw = {"format": FORMAT, **asdict(self)}
        if not self.overlays:
            del raw["overlays"]  # as generations were written before there were any
        return (json.dumps(raw, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def load(cls, content: bytes, where: str) -> Generation:
        """Raises IndexFormatError."""
        try:
            raw = json_text.loads(content)
            if raw.pop("format") != FORMAT:
                raise IndexFormatError(
                    f"was written by another farm; this one reads format {FORMAT}",
                    where=where,
                    fix="use the farm that made it",
                )
            uses = tuple(rows.read(OverlayUse, row) for row in raw.get("overlays", ()))
            return rows.read(cls, {name: rows.items(value) for name, value in raw.items()} | {"overlays": uses})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IndexFormatError(
                f"is damaged: {error}", where=where, fix="roll back to another generation, then remove this one"
            ) from error


def generation_name(channel: str, number: int) -> str:
    """The directory of a generation: ``staging@000012``."""
    return f"{channel}@{number:06d}"


def describe(
    old: Contents, new: Contents, *, channel: str, number: int, parent: int, created: str, comment: str, pages: int
) -> Generation:
    """What ``generation.json`` says of a generation that holds `new` and was made from `old`."""
    return Generation(
        channel=channel,
        number=number,
        parent=parent,
        created=created,
        comment=comment,
        files=len(new.files),
        projects=len({file.project for file in new.files.values()}),
        size=sum(file.size for file in new.files.values()),
        pages=pages,
        added=tuple(sorted(n for n, f in new.files.items() if n not in old.files or old.files[n].sha256 != f.sha256)),
        removed=tuple(sorted(old.files.keys() - new.files.keys())),
        overlays=uses(new),
    )


def uses(contents: Contents) -> tuple[OverlayUse, ...]:
    """The overlays that apply, for ``generation.json``."""
    return tuple(
        OverlayUse(
            name=name,
            sha256=held.sha256,
            signer=held.signer,
            files=sum(name in correction.overlays for correction in contents.corrections.values()),
        )
        for name, held in sorted(contents.overlays.items())
        if not held.ended
    )
