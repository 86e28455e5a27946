"""Which instructions a file holds that its instruction-set level does not promise (x86 only).

All executable code is disassembled with iced-x86. The disassembler's iterator, `attrgetter` and `set` do the work per
instruction without a line of Python, which makes it about 5 million instructions per second; only a function that
holds something above the level is looked at more closely.
"""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from operator import attrgetter

from iced_x86 import Code, CpuidFeature, Decoder, Formatter, FormatterSyntax, Instruction

from farm.binary.elf_file import Code as CodeRange
from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import Function, functions_of
from farm.errors import BinaryFormatError
from farm.gates.isa_levels import HARMLESS, HINTS, LEVELS, NEEDS_CPUID

_code_of = attrgetter("code")
# Disassembled data gives many invalid instructions (about 1 in 10) for each that looks like AVX; code gives none.
_DATA_LIKE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Instructions of one function that exceed the level.

    `instruction` is the first of `count`, at `address`; `features` the CPU features that the level lacks. `doubtful`:
    it may be no such instruction at all (some bytes nearby are no code), or it is guarded elsewhere.
    """

    function: str
    address: int
    instruction: str
    features: tuple[str, ...]
    count: int
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Code from `start` to `stop` (addresses). `names` are the names of the function it is, or follows if `gap`."""

    names: tuple[str, ...]
    start: int
    stop: int
    gap: bool

    @property
    def title(self) -> str:
        if not self.names:
            return f"unnamed code at {self.start:#x}"
        return f"unnamed code at {self.start:#x}, after {self.names[0]}" if self.gap else self.names[0]


@cache
def _feature_names() -> dict[int, str]:
    return {value: name for name, value in vars(CpuidFeature).items() if name.isupper() and isinstance(value, int)}


@cache
def _code_names() -> dict[int, str]:
    return {value: name for name, value in vars(Code).items() if name.isupper() and isinstance(value, int)}


@cache
def _features_by_code() -> dict[int, frozenset[str]]:
    """The CPU features that each kind of instruction needs; 5,000 entries, made in 5 ms."""
    names = _feature_names()
    probe = Instruction()
    table = {}
    for code in _code_names():
        probe.code = code  # type: ignore[assignment]  # iced's stubs call its integers an enumeration
        table[code] = frozenset(names[feature] for feature in probe.cpuid_features())
    return table


@cache
def allowed_codes(level: str) -> frozenset[int]:
    """iced's code numbers of all instructions that a level promises. Raises KeyError for an unknown level."""
    promised = LEVELS[level] | HINTS
    harmless = {code for code, name in _code_names().items() if name in HARMLESS}
    return frozenset(code for code, needs in _features_by_code().items() if needs <= promised or code in harmless)


def excess_of(
    file: ElfFile, *, level: str, dispatched: Iterable[str] = (), twin: ElfFile | None = None
) -> tuple[Excess, ...]:
    """Functions of a file with instructions above `level`, except those whose name matches a `dispatched` glob.

    A glob is matched against every name of a function, and against it without a compiler's suffix
    (``f.cold``, ``f.part.0``). `twin` is the same file before it was stripped. Raises BinaryFormatError if it is not.
    """
    if twin is not None:
        _check_twin(file, twin)
    functions = functions_of(twin or file)
    exempt = _matcher(tuple(dispatched))
    allowed = allowed_codes(level)
    found: list[Excess] = []
    for code in file.code():
        for piece in _pieces(code, functions):
            if piece.gap or not any(exempt(name) for name in piece.names):
                found.extend(_examine(piece, code, file.bits, allowed, level))
    return tuple(found)


def _check_twin(file: ElfFile, twin: ElfFile) -> None:
    theirs = {section.name: section for section in twin.sections}
    for section in file.sections:
        if not section.flags & 4 or not section.name:
            continue
        other = theirs.get(section.name)
        same = other is not None and (other.address, other.size) == (section.address, section.size)
        if same and other is not None and twin.content(other):  # a file with only debug information has no content
            same = twin.content(other) == file.content(section)
        if not same:
            raise BinaryFormatError(
                f"is not {file.name} before it was stripped: {section.name} differs",
                where=twin.name,
                fix="give the file that this very build left before stripping",
            )


def _matcher(globs: tuple[str, ...]) -> Callable[[str], bool]:
    if not globs:
        return lambda _: False
    pattern = re.compile("|".join(fnmatch.translate(glob) for glob in globs))
    return lambda name: bool(pattern.match(name) or pattern.match(name.partition(".")[0]))


def _pieces(code: CodeRange, functions: tuple[Function, ...]) -> Iterator[_Piece]:
    """Cut code at function starts and known ends, so that the disassembler never runs out of step for long."""
    stop = code.address + len(code.data)
    first = bisect_left(functions, code.address, key=attrgetter("address"))
    names: dict[int, list[str]] = {}
    ends: dict[int, int] = {}
    covered = code.address  # end of the function that is being looked at
    for function in functions[first:]:
        at = function.address
        if at >= stop:
            break
        if at < covered and at not in names and not function.size:
            continue  # a label within a function
        names.setdefault(at, []).append(function.name)
        ends[at] = max(ends.get(at, 0), min(at + function.size, stop) if function.size else 0)
        covered = max(covered, ends[at])
    starts = [*names, stop]
    if not names or starts[0] > code.address:
        yield _Piece(names=(), start=code.address, stop=starts[0], gap=True)
    for at, following in pairwise(starts):
        end = min(ends[at], following) or following
        yield _Piece(names=tuple(names[at]), start=at, stop=end, gap=False)
        if end < following:
            yield _Piece(names=tuple(names[at]), start=end, stop=following, gap=True)


def _examine(piece: _Piece, code: CodeRange, bits: int, allowed: frozenset[int], level: str) -> Iterator[Excess]:
    data = code.data[piece.start - code.address : piece.stop - code.address]
    codes = set(map(_code_of, Decoder(bits, data)))
    bad = codes - allowed
    if not bad:
        return
    names = _code_names()
    unguarded = {c for c in bad if names[c] in NEEDS_CPUID}
    if Code.CPUID in codes:
        bad -= unguarded
        unguarded = set()
    for doubtful, group in ((False, bad - unguarded), (True, unguarded)):
        if group:
            yield _describe(piece, data, bits, group, level, doubtful=doubtful)


def _describe(piece: _Piece, data: bytes, bits: int, bad: set[int], level: str, *, doubtful: bool) -> Excess:
    found = [instruction for instruction in Decoder(bits, data, ip=piece.start) if instruction.code in bad]
    invalid = list(map(_code_of, Decoder(bits, data))).count(Code.INVALID)
    table = _features_by_code()
    missing = frozenset().union(*(table[code] for code in bad)) - LEVELS[level] - HINTS
    return Excess(
        function=piece.title,
        address=found[0].ip,
        instruction=Formatter(FormatterSyntax.INTEL).format(found[0]),
        features=tuple(sorted(missing)),
        count=len(found),
        doubtful=doubtful or len(found) <= _DATA_LIKE * invalid,
    )
