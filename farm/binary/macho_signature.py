"""Check the code signature of a Mach-O file against its bytes, as the kernel of macOS does page by page.

A file that was changed after it was signed is killed at its first use on arm64, without a word about why. Only the
hashes are checked: whether a certificate is trusted is not asked (signatures of build tools are *ad hoc*, without
one). Sources: `cs_blobs.h` of xnu.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from farm.binary import macho_format as macho
from farm.binary.bounded import Bounded
from farm.binary.macho_fat import slices
from farm.binary.macho_file import MachoFile
from farm.errors import BinaryFormatError

_SUPER_BLOB, _CODE_DIRECTORY = 0xFADE0CC0, 0xFADE0C02
_BLOB = Struct(">II")  # magic, size
_INDEX = Struct(">II")  # slot, offset
# magic size version flags hashes identifier special-slots code-slots code-limit hash-size hash-type platform page-shift
_DIRECTORY = Struct(">IIIIIIIIIBBBB")
_LIMIT_64_AT, _LIMIT_64_SINCE = Struct(">56xQ"), 0x20300
_SLOT_DIRECTORY, _SLOT_ALTERNATES, _SLOT_CERTIFICATE = 0, range(0x1000, 0x1006), 0x10000
_MOST_BLOBS = 64
_LARGEST_PAGE = 30
# Hash type -> hash, of which the first `hash size` bytes are kept
_HASHES: dict[int, Callable[[memoryview], bytes]] = {
    1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.sha256(data).digest(),
    4: lambda data: hashlib.sha384(data).digest(),
}
_HASH_SIZES = {1: 20, 2: 32, 3: 20, 4: 48}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHash:
    """A page of a signed file: from `start` to `end`; its `right` hash, and where (file offset) it is `kept`."""

    start: int
    end: int
    right: bytes
    kept: int


def page_hashes(file: MachoFile) -> Iterator[PageHash]:
    """Every page of a slice in every code directory of its signature, with the hash that its bytes have now.

    None if it is not signed. Raises BinaryFormatError for a signature that is damaged, that does not cover the file,
    or that a certificate vouches for: that one only its owner can make again.
    """
    command = file.command(macho.LC_CODE_SIGNATURE)
    if command is None:
        return
    signature_at, size = file.fields(command, "pair")
    blob = Bounded(file.span(signature_at, size, "the code signature"), file.name)
    parts = _parts(blob)
    at = parts.get(_SLOT_CERTIFICATE)
    if at is not None and blob.row(_BLOB, at, "a part of the signature")[1] > _BLOB.size:
        raise file.error("is signed with a certificate, so only its owner can change it")
    for at in _directories(parts):
        directory = _directory(blob, at)
        if not directory.covers(signature_at):
            raise file.error(_not_covered(directory, signature_at))
        yield from _pages(file, directory, signature_at + at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """A code directory: the bytes up to `limit` in `pages` of `page` bytes each; `table` is where, from its own start,
    the hashes begin: first those of `special` other parts."""

    limit: int
    pages: int
    page: int
    special: int
    table: int
    hash_type: int

    @property
    def hash_size(self) -> int:
        return _HASH_SIZES[self.hash_type]

    def hash(self, data: memoryview) -> bytes:
        return _HASHES[self.hash_type](data)[: self.hash_size]

    def covers(self, size: int) -> bool:
        return self.limit == size and self.pages == -(-size // self.page)


def signature_fault(data: bytes | memoryview, name: str) -> str:
    """Why macOS would refuse the file's signature, as a sentence; empty if it is valid or there is none.

    Whether there is one is `Linkage.signed`. In a fat file the first fault of any slice is told. Raises
    BinaryFormatError if the file itself is damaged.
    """
    for file in slices(data, name):
        fault = _fault(file)
        if fault:
            return fault if file.name == name else f"{fault} (slice for {file.arch})"
    return ""


def _fault(file: MachoFile) -> str:
    command = file.command(macho.LC_CODE_SIGNATURE)
    if command is None:
        return ""
    offset, size = file.fields(command, "pair")
    try:
        blob = Bounded(file.span(offset, size, "the code signature"), file.name)
        return next(_faults(file, blob, offset), "")
    except BinaryFormatError as error:
        return f"the code signature {error.what}"


def _faults(file: MachoFile, blob: Bounded, signature_at: int) -> Iterator[str]:
    parts = _parts(blob)
    directories = _directories(parts)
    if not directories:
        yield "the code signature has no code directory"
    for at in directories:
        yield from _directory_faults(file, blob, parts, at, signature_at)


def _parts(blob: Bounded) -> dict[int, int]:
    """Slot -> offset of the signature's parts."""
    magic, _ = blob.row(_BLOB, 0, "the signature's header")
    if magic != _SUPER_BLOB:
        raise blob.error(f"begins with {magic:#x}, which is no signature")
    (count,) = blob.row(macho.LAYOUTS[64, False].word, _BLOB.size, "the signature's index")
    if count > _MOST_BLOBS:
        raise blob.error(f"claims to have {count} parts")
    return dict(blob.rows(_INDEX, _BLOB.size + 4, count, "the signature's index"))


def _directories(parts: dict[int, int]) -> list[int]:
    return [at for slot, at in sorted(parts.items()) if slot == _SLOT_DIRECTORY or slot in _SLOT_ALTERNATES]


def _directory(blob: Bounded, at: int) -> _Directory:
    row = blob.row(_DIRECTORY, at, "the code directory")
    magic, size, version, _, hashes_at, _, special, pages, limit, hash_size, hash_type, _, shift = row
    if magic != _CODE_DIRECTORY or _HASH_SIZES.get(hash_type) != hash_size or shift > _LARGEST_PAGE:
        raise blob.error(
            f"has a code directory with magic {magic:#x}, hash type {hash_type} of {hash_size} bytes: not known"
        )
    body = Bounded(blob.span(at, size, "the code directory"), blob.name)
    if version >= _LIMIT_64_SINCE:
        limit = body.row(_LIMIT_64_AT, 0, "the code directory")[0] or limit
    table = hashes_at - special * hash_size
    body.span(table, (special + pages) * hash_size, "the hashes")
    page = 1 << shift if shift else max(limit, 1)
    return _Directory(limit=limit, pages=pages, page=page, special=special, table=table, hash_type=hash_type)


def _not_covered(directory: _Directory, signature_at: int) -> str:
    return (
        f"the code signature covers {directory.limit} bytes in {directory.pages} pages, but is itself at {signature_at}"
    )


def _pages(file: MachoFile, directory: _Directory, directory_at: int) -> Iterator[PageHash]:
    hashes_at = directory_at + directory.table + directory.special * directory.hash_size
    for number in range(directory.pages):
        start, end = number * directory.page, min((number + 1) * directory.page, directory.limit)
        right = directory.hash(file.data[start:end])
        yield PageHash(start=start, end=end, right=right, kept=hashes_at + number * directory.hash_size)


def _directory_faults(
    file: MachoFile, blob: Bounded, parts: dict[int, int], at: int, signature_at: int
) -> Iterator[str]:
    directory = _directory(blob, at)
    if not directory.covers(signature_at):
        yield _not_covered(directory, signature_at)
        return
    size, special = directory.hash_size, directory.special
    table = blob.span(at + directory.table, special * size, "the hashes")
    for slot, part_at in parts.items():
        if 0 < slot <= special:  # requirements, entitlements, ...: hashed in front of the pages
            _, part_size = blob.row(_BLOB, part_at, "a part of the signature")
            kept = table[(special - slot) * size :][:size]
            if directory.hash(blob.span(part_at, part_size, "a part of the signature")) != kept:
                yield f"the code signature's part {slot} is not what was signed"
    pages = _pages(file, directory, signature_at + at)
    wrong = [page for page in pages if file.span(page.kept, size, "a hash") != page.right]
    if wrong:
        where = f"the first at byte {wrong[0].start:#x}"
        yield (
            f"the code signature is stale: {len(wrong)} of {directory.pages} pages were changed after signing, {where}"
        )
