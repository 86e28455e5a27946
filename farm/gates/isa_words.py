"""Which instructions of processors with fixed 4-byte instructions a baseline does not promise, by their encodings.

No disassembler is needed: an instruction is a pattern of fixed bits, and the tables name the patterns of every later
extension. They were held against LLVM's and GNU's disassemblers with random words (docs/audit.md).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_SLOTS = 1 << 11  # by the highest bits of a word: which rules can match at all
_SHIFT = 32 - 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Words with these bits are instructions of `feature`; of several rules the first counts. Empty: the baseline."""

    mask: int
    value: int
    feature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An instruction above the baseline at byte `offset` of the code: its word and the feature it needs."""

    offset: int
    word: int
    feature: str


class WordTable:
    """The rules of one architecture, in an order that finds the few words that matter quickly."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        slots: list[list[Rule]] = [[] for _ in range(_SLOTS)]
        for rule in rules:
            high = rule.mask >> _SHIFT
            for slot in _submasks(~high & (_SLOTS - 1)):
                slots[slot | (rule.value >> _SHIFT)].append(rule)
        self._slots = tuple(map(tuple, slots))
        self._interesting = bytes(any(rule.feature for rule in rules) for rules in self._slots)

    def feature(self, word: int) -> str:
        """The feature that a word needs; empty if the baseline has it, or if it is no instruction at all."""
        for rule in self._slots[word >> _SHIFT]:
            if word & rule.mask == rule.value:
                return rule.feature
        return ""

    def hits(self, code: bytes, promised: frozenset[str]) -> Iterator[Hit]:
        """The instructions of little-endian code that need a feature which is not promised, by offset."""
        words = words_of(code)
        interesting = self._interesting
        found = {word for word in set(words) if interesting[word >> _SHIFT]}
        bad = {word: feature for word in found if (feature := self.feature(word)) and feature not in promised}
        if bad:
            yield from (Hit(offset=4 * n, word=w, feature=bad[w]) for n, w in enumerate(words) if w in bad)


def words_of(code: bytes) -> array[int]:
    """Little-endian code as numbers; what is left of a last word is dropped."""
    words = array("I", code[: len(code) - len(code) % 4])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _submasks(free: int) -> Iterator[int]:
    """Every combination of the free bits."""
    value = free
    while True:
        yield value
        if not value:
            return
        value = (value - 1) & free


def rules(table: Mapping[str, str]) -> Iterator[Rule]:
    """Rules from lines of ``mask/value`` by feature, in the order in which they stand."""
    for feature, text in table.items():
        for pair in text.split():
            mask, _, value = pair.partition("/")
            yield Rule(mask=int(mask, 16), value=int(value, 16), feature=feature.partition(" ")[0])
