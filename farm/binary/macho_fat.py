"""Fat Mach-O files: one file with a slice for each architecture, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TypeVar

from farm.binary import macho_format as macho
from farm.binary.bounded import Bounded
from farm.binary.macho_file import MachoFile
from farm.model.binary import Linkage, Symbol

_UNIVERSAL = {frozenset({"x86_64", "arm64"}): "universal2"}
_MUST_BE_SIGNED = "arm64"
_FIRST_ARM64 = (11, 0)  # older systems have no arm64, so a slice for it can promise no less
_T = TypeVar("_T")


def slices(data: bytes | memoryview, name: str) -> tuple[MachoFile, ...]:
    """The Mach-O files in a file: one, or those of a fat file in its order. Raises BinaryFormatError."""
    file = Bounded(data, name)
    layout = macho.FAT_SLICES.get(bytes(file.data[:4]))
    if layout is None:
        return (MachoFile(file.data, name),)
    count = int.from_bytes(file.span(4, 4, "the fat header"), "big")
    if not 0 < count < macho.MOST_SLICES:
        raise file.error(f"is a fat Mach-O file of {count} slices, or none at all")
    rows = list(file.rows(layout, 8, count, "the fat header"))
    for low, high in pairwise(sorted((row[2], row[2] + row[3]) for row in rows)):
        if low[1] > high[0]:
            raise file.error(f"has overlapping slices at {low[0]:#x} and {high[0]:#x}")
    return tuple(_slices(file, rows))


def _slices(file: Bounded, rows: Sequence[tuple[int, ...]]) -> Iterator[MachoFile]:
    seen = set()
    for cpu, subtype, offset, size, _ in rows:
        data = file.span(offset, size, "a slice")
        arch = macho.CPUS.get(cpu, f"macho-cpu-{cpu:#x}")
        slice_ = MachoFile(data, f"{file.name} ({arch})")
        if slice_.cpu != cpu or (cpu, subtype) in seen:
            raise file.error(f"lies: its slice for {arch} is for {slice_.arch}, or comes twice")
        seen.add((cpu, subtype))
        yield slice_


def merged(parts: Sequence[Linkage]) -> Linkage:
    """One linkage for all slices, such that what holds for it holds for each of them.

    Exports are those of every slice; needs, run paths and imports those of any. The lowest macOS is the highest of the
    slices', where an arm64 slice counts only beyond 11.0. It is signed if its arm64 slices are: on other processors
    macOS asks for no signature, and linkers write none. What else differs is told in `disagreements`.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    return replace(
        first,
        arch=_UNIVERSAL.get(frozenset(part.arch for part in parts), "+".join(part.arch for part in parts)),
        bits=max(part.bits for part in parts),
        needed=_union(part.needed for part in parts),
        runpath=_union(part.runpath for part in parts),
        exports=_common(parts),
        imports=_union(part.imports for part in parts),
        exec_stack=any(part.exec_stack for part in parts),
        has_debug_info=any(part.has_debug_info for part in parts),
        os_floor=_floor(parts),
        signed=all(part.signed for part in [p for p in parts if p.arch == _MUST_BE_SIGNED] or parts),
        disagreements=tuple(_disagreements(parts)),
    )


def _union(values: Iterable[tuple[_T, ...]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(values)))


def _common(parts: Sequence[Linkage]) -> tuple[Symbol, ...]:
    names = set.intersection(*({symbol.name for symbol in part.exports} for part in parts))
    return tuple(symbol for symbol in parts[0].exports if symbol.name in names)


def _floor(parts: Sequence[Linkage]) -> tuple[int, int]:
    telling = [p.os_floor for p in parts if p.arch != _MUST_BE_SIGNED or p.os_floor > _FIRST_ARM64]
    return max(telling, default=max(part.os_floor for part in parts))


_FACTS: tuple[tuple[str, Callable[[Linkage], object]], ...] = (
    ("install name", lambda part: part.soname),
    ("needed libraries", lambda part: set(part.needed)),
    ("run paths", lambda part: part.runpath),
    ("kind of file", lambda part: part.is_executable),
    ("exports", lambda part: {symbol.name for symbol in part.exports}),
)


def _disagreements(parts: Sequence[Linkage]) -> Iterator[str]:
    first = parts[0]
    for what, fact in _FACTS:
        for part in parts[1:]:
            if fact(part) != fact(first):
                yield f"the slices for {first.arch} and {part.arch} differ in {what}"
