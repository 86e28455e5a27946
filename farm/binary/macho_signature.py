"""Check the code signature of a Mach-O file against its bytes, as the kernel of macOS does page by page.

A file that was changed after it was signed is killed at its first use on arm64, without a word about why. Only the
hashes are checked: whether a certificate is trusted is not asked (signatures of build tools are *ad hoc*, without
one). Sources: `cs_blobs.h` of xnu.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
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
_SLOT_DIRECTORY, _SLOT_ALTERNATES = 0, range(0x1000, 0x1006)
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
    magic, _ = blob.row(_BLOB, 0, "the signature's header")
    if magic != _SUPER_BLOB:
        yield f"the code signature begins with {magic:#x}, which is no signature"
        return
    (count,) = blob.row(macho.LAYOUTS[64, False].word, _BLOB.size, "the signature's index")
    if count > _MOST_BLOBS:
        yield f"the code signature claims to have {count} parts"
        return
    parts = dict(blob.rows(_INDEX, _BLOB.size + 4, count, "the signature's index"))
    directories = [at for slot, at in sorted(parts.items()) if slot == _SLOT_DIRECTORY or slot in _SLOT_ALTERNATES]
    if not directories:
        yield "the code signature has no code directory"
    for at in directories:
        yield from _directory_faults(file, blob, parts, at, signature_at)


def _directory_faults(
    file: MachoFile, blob: Bounded, parts: dict[int, int], at: int, signature_at: int
) -> Iterator[str]:
    row = blob.row(_DIRECTORY, at, "the code directory")
    magic, size, version, _, hashes_at, _, special, pages, limit, hash_size, hash_type, _, shift = row
    if magic != _CODE_DIRECTORY or _HASH_SIZES.get(hash_type) != hash_size or shift > _LARGEST_PAGE:
        yield f"the code directory has magic {magic:#x}, hash type {hash_type} of {hash_size} bytes: not known"
        return
    directory = Bounded(blob.span(at, size, "the code directory"), file.name)
    if version >= _LIMIT_64_SINCE:
        limit = directory.row(_LIMIT_64_AT, 0, "the code directory")[0] or limit
    page = 1 << shift if shift else max(limit, 1)
    if limit != signature_at or pages != -(-limit // page):
        yield f"the code signature covers {limit} bytes in {pages} pages, but is itself at {signature_at}"
        return
    digest = _HASHES[hash_type]
    start = hashes_at - special * hash_size
    table = directory.span(start, (special + pages) * hash_size, "the hashes")
    for slot, part_at in parts.items():
        if 0 < slot <= special:  # requirements, entitlements, ...: hashed in front of the pages
            _, part_size = blob.row(_BLOB, part_at, "a part of the signature")
            kept = table[(special - slot) * hash_size :][:hash_size]
            if digest(blob.span(part_at, part_size, "a part of the signature"))[:hash_size] != kept:
                yield f"the code signature's part {slot} is not what was signed"
    wrong = [
        n
        for n in range(pages)
        if digest(file.data[n * page : min((n + 1) * page, limit)])[:hash_size]
        != table[(special + n) * hash_size :][:hash_size]
    ]
    if wrong:
        where = f"the first at byte {wrong[0] * page:#x}"
        yield f"the code signature is stale: {len(wrong)} of {pages} pages were changed after signing, {where}"
