"""A static archive once more, with other names for symbols of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from farm.binary import archive_file
from farm.binary.archive_file import Archive, Member
from farm.build.rename_values import Added, Names, Renamer
from farm.errors import BuildError

_NUMBER, _ROW = Struct("<I"), Struct("<II")
_INDEX = "__.SYMDEF"
_ALIGNED = 8
# name, date, owner, group, mode, size
_HEADER = "{name:<16}{date:<12}{owner:<6}{group:<6}{mode:<8}{size:<10}`\n"
_HEADER_SIZE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A member with its new content and the names that the index has for it."""

    name: str
    content: bytes
    index: tuple[str, ...]


def renamed(source: Path, target: Path, names: Names, renamer: Renamer) -> None:
    """Write the archive `target`: what `source` holds, in its order, with no time and owner. It has BSD's form: the
    compiler's linker for Mach-O reads no other, those for ELF and PE read it as well.

    Raises BuildError for a member whose symbols cannot be renamed, BinaryFormatError for a damaged archive.
    """
    archive = Archive(source.read_bytes(), str(source))
    target.write_bytes(_archive([_renamed(archive, member, names, renamer) for member in archive.members]))


def _renamed(archive: Archive, member: Member, names: Names, renamer: Renamer) -> _Made:
    where = f"{Path(archive.name).name}({member.name})"
    index = archive.index.get(member.at, ())
    if not renamer.fits(bytes(member.data[:4])):
        if index:
            raise BuildError(
                "is no object file of the platform, so its symbols cannot get other names",
                where=where,
                fix="build without link-time optimisation, or without symbol_prefix and symbol_suffix",
            )
        return _Made(name=member.name, content=bytes(member.data), index=())
    known = tuple(names.new(name, where) or name for name in index)
    return _Made(name=member.name, content=renamer.rename(member.data, where, names), index=known)


def _archive(members: list[_Made]) -> bytes:
    """The archive's bytes: an index, the members."""
    rows = [(number, name) for number, member in enumerate(members) for name in member.index]
    names = Added(b"")
    places = [names.place(name) for _, name in rows]
    text = names.table() + bytes(-len(names.table()) % _ALIGNED)
    at = len(archive_file.MAGIC) + len(_member(_INDEX, _index([(0, 0)] * len(rows), text)))
    blocks, starts = [], []
    for member in members:
        blocks.append(_member(member.name, member.content))
        starts.append(at)
        at += len(blocks[-1])
    index = _index([(place, starts[number]) for place, (number, _) in zip(places, rows, strict=True)], text)
    return b"".join([archive_file.MAGIC, _member(_INDEX, index), *blocks])


def _index(rows: list[tuple[int, int]], text: bytes) -> bytes:
    """Rows of (place of the name, offset of the member) and the names, each with its size before it."""
    table = b"".join(_ROW.pack(*row) for row in rows)
    return _NUMBER.pack(len(table)) + table + _NUMBER.pack(len(text)) + text


def _member(name: str, content: bytes) -> bytes:
    """A header, the name and the content; objects begin at a multiple of 8 bytes, as Mach-O's must."""
    encoded = name.encode("utf-8") + b"\0"
    encoded += bytes(-(_HEADER_SIZE + len(archive_file.MAGIC) + len(encoded)) % _ALIGNED)
    content += b"\n" * (-(_HEADER_SIZE + len(encoded) + len(content)) % _ALIGNED)
    size = len(encoded) + len(content)
    header = _HEADER.format(name=f"#1/{len(encoded)}", date=0, owner=0, group=0, mode="644", size=size)
    return header.encode("ascii") + encoded + content
