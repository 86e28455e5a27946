"""Which instructions a program holds that its instruction-set level does not promise.

x86: all executable code is disassembled with iced-x86. The disassembler's iterator, `attrgetter` and `set` do the work
per instruction without a line of Python, which makes it about 5 million instructions per second; only a function that
holds something above the level is looked at more closely. AArch64 and POWER: every instruction is a word, and the
tables of `isa_words` know the words of later extensions.
"""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from operator import attrgetter

from iced_x86 import Code, CpuidFeature, Decoder, Formatter, FormatterSyntax, Instruction

from farm.binary.elf_file import Code as CodeRange
from farm.binary.elf_symbols import Function
from farm.binary.functions import Program
from farm.errors import BinaryFormatError
from farm.gates import isa_arm64, isa_power
from farm.gates.isa_levels import HARMLESS, HINTS, LEVELS, NEEDS_CPUID
from farm.gates.isa_words import Hit, WordTable, words_of
from farm.wheel.platforms import machine

_code_of = attrgetter("code")
# Disassembled data gives many invalid instructions (about 1 in 10) for each that looks like AVX; code gives none.
_DATA_LIKE = 4
# Labels that are in symbol tables and begin no function: NASM's within macros, ``..@15.done``, and on macOS those of
# assembly that was written for ELF, whose assembler drops ``.L15``.
_LABELS = ("..@", ".L")
_DOUBT = "perhaps data, or guarded by its caller"
_NAMELESS = "perhaps one of audit.dispatched: such files do not tell the names of hidden functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Instructions of one function that exceed the level.

    `instruction` is the first of `count`, at `address`; `features` the CPU features that the level lacks. `doubt`
    says why it may be none, or allowed; empty if it is certain.
    """

    function: str
    address: int
    instruction: str
    features: tuple[str, ...]
    count: int
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Code from `start` to `stop` (addresses). `names` are the names of the function it is, or follows if `gap`.
    `is_open`: nothing says where the function ends, so hidden ones may follow it."""

    names: tuple[str, ...]
    start: int
    stop: int
    gap: bool
    is_open: bool = False

    @property
    def title(self) -> str:
        """What a finding calls this stretch of code."""
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


def judges(arch: str, level: str) -> bool:
    """True if code of an architecture can be held to a level."""
    return machine(arch) in _EXAMINERS and level in _EXAMINERS[machine(arch)].levels


def excess_of(
    program: Program, *, level: str, dispatched: Iterable[str] = (), twin: Program | None = None
) -> tuple[Excess, ...]:
    """Functions of a program with instructions above `level`, except those whose name matches a `dispatched` glob.

    A glob is matched against every name of a function, and against it without a compiler's suffix
    (``f.cold``, ``f.part.0``). `twin` is the same file before it was stripped; without one, and where the file does not
    tell the names of hidden functions, unnamed code is doubtful if there are globs. Raises BinaryFormatError if the
    twin is another file's, KeyError unless `judges` says yes.
    """
    if twin is not None:
        _check_twin(program, twin)
    examiner = _EXAMINERS[machine(program.arch)]
    examine = examiner.examiner(program, level)
    globs = tuple(dispatched)
    exempt = _matcher((*globs, *examiner.guarded))
    found: list[Excess] = []
    for code in program.code:
        for piece in _pieces(code, (twin or program).functions):
            if piece.gap or not any(exempt(name) for name in piece.names):
                data = code.data[piece.start - code.address : piece.stop - code.address]
                nameless = globs and not program.names_hidden and (piece.gap or piece.is_open or not piece.names)
                found.extend(replace(e, doubt=_NAMELESS) if nameless else e for e in examine(piece, data))
    return tuple(found)


def _check_twin(program: Program, twin: Program) -> None:
    theirs = {(section.name, section.address, section.size): section.data for section in twin.sections}
    for section in program.sections:
        key = section.name, section.address, section.size
        if key not in theirs or theirs[key] not in (None, section.data):
            raise BinaryFormatError(
                f"is not {program.name} before it was stripped: {section.name} differs",
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
        if function.name.startswith(_LABELS) or (at < covered and at not in names and not function.size):
            continue  # a label within a function
        names.setdefault(at, []).append(function.name)
        ends[at] = max(ends.get(at, 0), min(at + function.size, stop) if function.size else 0)
        covered = max(covered, ends[at])
    starts = [*names, stop]
    if not names or starts[0] > code.address:
        yield _Piece(names=(), start=code.address, stop=starts[0], gap=True)
    for at, following in pairwise(starts):
        end = min(ends[at], following) or following
        yield _Piece(names=tuple(names[at]), start=at, stop=end, gap=False, is_open=not ends[at])
        if end < following:
            yield _Piece(names=tuple(names[at]), start=end, stop=following, gap=True)


def _examine(bits: int, allowed: frozenset[int], level: str, piece: _Piece, data: bytes) -> Iterator[Excess]:
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
        doubt=_DOUBT if doubtful or len(found) <= _DATA_LIKE * invalid else "",
    )


def _examine_words(
    table: WordTable, promised: frozenset[str], is_guarded: Callable[[Hit, bytes], bool], piece: _Piece, data: bytes
) -> Iterator[Excess]:
    """The same for processors whose instructions are words."""
    hits = [hit for hit in table.hits(data, promised) if not is_guarded(hit, data)]
    if not hits:
        return
    nothing = sum(1 for word in words_of(data) if not word >> 16)  # no instruction on either processor
    yield Excess(
        function=piece.title,
        address=piece.start + hits[0].offset,
        instruction=f".inst {hits[0].word:#010x}",
        features=tuple(sorted({hit.feature for hit in hits})),
        count=len(hits),
        doubt=_DOUBT if _DATA_LIKE * len(hits) <= nothing else "",
    )


def _after_a_question(hit: Hit, data: bytes) -> bool:
    """True for an atomic instruction right behind ``cbz w16``: the helpers of GCC and LLVM ask the system first."""
    return hit.feature == "LSE" and bool({w & 0xFF00001F for w in _before(hit, data, 1)} & {0x34000010})


def _in_traceback(hit: Hit, data: bytes) -> bool:
    """True in the table that GCC puts behind functions on POWER, which begins with a zero."""
    return 0 in _before(hit, data, 2)


def _is_data(hit: Hit, data: bytes) -> bool:
    """True for a word of a table among POWER code."""
    return _in_traceback(hit, data) or _in_jump_table(hit, data)


def _in_jump_table(hit: Hit, data: bytes) -> bool:
    """True in the table that GCC puts behind the jump of a `switch` on POWER: distances from the table to the cases,
    small multiples of four. A negative one looks like an instruction on floating point numbers; two in a row that are
    small are none."""
    beside = data[max(0, hit.offset - 4) : hit.offset], data[hit.offset + 4 : hit.offset + 8]
    return _is_distance(hit.word) and any(map(_is_distance, words_of(beside[0] + beside[1])))


def _is_distance(word: int) -> bool:
    return word % 4 == 0 and (word >= 0xFFF00000 or 0 < word < 0x100000)


def _before(hit: Hit, data: bytes, count: int) -> tuple[int, ...]:
    """The words in front of an instruction."""
    return tuple(words_of(data[max(0, hit.offset - 4 * count) : hit.offset]))


_Examine = Callable[[_Piece, bytes], Iterable[Excess]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examiner:
    """How code of one processor is judged: the `levels` it can be held to, and the functions that ask by themselves."""

    levels: frozenset[str]
    examiner: Callable[[Program, str], _Examine]
    guarded: tuple[str, ...] = ()


def _x86(program: Program, level: str) -> _Examine:
    return partial(_examine, program.bits, allowed_codes(level), level)


def _arm64(_program: Program, level: str) -> _Examine:
    return partial(_examine_words, isa_arm64.TABLE, isa_arm64.LEVELS[level], _after_a_question)


def _power(_program: Program, level: str) -> _Examine:
    return partial(_examine_words, isa_power.TABLE, isa_power.LEVELS[level], _is_data)


_X86 = _Examiner(levels=frozenset(LEVELS), examiner=_x86)
_EXAMINERS: Mapping[str, _Examiner] = {
    "x86_64": _X86,
    "i686": _X86,
    "i386": _X86,
    "aarch64": _Examiner(levels=frozenset(isa_arm64.LEVELS), examiner=_arm64, guarded=("__aarch64_*",)),
    "ppc64le": _Examiner(levels=frozenset(isa_power.LEVELS), examiner=_power),
}
