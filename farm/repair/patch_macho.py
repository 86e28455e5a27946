"""Give a finished Mach-O file other run paths, and its ad-hoc signature the hashes of the pages that changed.

Where a module lies is known only when its wheel is there, and a run path is relative to it. The load commands grow into
the room that linkers leave behind them (``-headerpad_max_install_names``); not another byte moves. Source of the
layout: `mach-o/loader.h`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farm.binary import macho_format as macho
from farm.binary.macho_fat import slices
from farm.binary.macho_file import MachoFile
from farm.binary.macho_signature import page_hashes

_COUNT_AT = 16  # of ncmds in the header, for 32 and 64 bits; sizeofcmds follows
_STRING_AT = 12  # of the path in a run path's load command
_ALIGNMENT = {32: 4, 64: 8}


def with_run_paths(content: bytes, entries: Sequence[str], name: str) -> bytes:
    """The file with these run paths and no others, in every slice.

    Raises BinaryFormatError if the file is damaged, has no room for them, or is signed with a certificate.
    """
    data = bytearray(content)
    for file in slices(memoryview(data), name):
        _replace(file, entries)
        renew_signature(file)
    return bytes(data)


def renew_signature(file: MachoFile) -> None:
    """Give the ad-hoc signature of a changed slice, if it has one, the hashes that its pages have now, in place.

    Raises BinaryFormatError if the signature is damaged or a certificate vouches for it.
    """
    # A new reader: the file's commands may not be what the old one read.
    for page in page_hashes(MachoFile(file.data, file.name)):
        if file.data[page.kept : page.kept + len(page.right)] != page.right:
            file.data[page.kept : page.kept + len(page.right)] = page.right


def _replace(file: MachoFile, entries: Sequence[str]) -> None:
    head, start = file.layout.command.size, file.layout.header.size
    kept = [c for c in file.commands if c.type != macho.LC_RPATH]
    blocks = [bytes(file.data[c.offset - head : c.offset + c.size]) for c in kept]
    blocks += [_run_path(file, entry) for entry in entries]
    commands = b"".join(blocks)
    used = sum(head + c.size for c in file.commands)
    room = min(_contents(file), default=start + used) - start
    if len(commands) > room or any(file.data[start + used : start + len(commands)]):
        raise file.error(
            f"has room for {room} bytes of load commands, and with its run paths they are {len(commands)}: "
            "link it with -Wl,-headerpad_max_install_names"
        )
    file.data[start : start + max(used, len(commands))] = commands.ljust(used, b"\0")
    file.layout.pair.pack_into(file.data, _COUNT_AT, len(blocks), len(commands))


def _run_path(file: MachoFile, entry: str) -> bytes:
    align = _ALIGNMENT[file.bits]
    text = entry.encode() + b"\0"
    size = -(-(_STRING_AT + len(text)) // align) * align
    head = file.layout.command.pack(macho.LC_RPATH, size) + file.layout.word.pack(_STRING_AT)
    return (head + text).ljust(size, b"\0")


def _contents(file: MachoFile) -> Iterator[int]:
    """Where in the file what is no load command begins: sections, and segments without sections."""
    for segment in file.segments:
        yield from (s.offset for s in segment.sections if s.size and s.offset)
        if segment.size and segment.offset and not segment.sections:
            yield segment.offset
