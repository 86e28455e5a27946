"""Types of one library that the functions of others take: who calls these knows the layout of what it hands on. Pure.

A type counts that changed, and all that hold or point to it, in whichever library they are declared: to the third one
they may be opaque. Typedefs are resolved, so a number type that another took the place of counts wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from farm.abi import layouts
from farm.abi.layouts import same_type
from farm.model.abi import Abi, AbiDifference, AbiFunction, AbiLibrary, AbiType, ChangeKind

_NAMED = re.compile(r"\b(?:struct|union|enum) [\w.:]+|\b(?:const|volatile|restrict)\b|:\s*\d+")
_NUMBER = re.compile(r"([A-Za-z_]\w*(?: +[A-Za-z_]\w*)*) *((?:\*|\[\d*\]| +(?=[*[]))*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """`types` of a library that have another layout, or lead to one; `numbers` that were replaced by other types."""

    types: frozenset[str]
    numbers: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.types or self.numbers)


def changed(difference: AbiDifference) -> Changed:
    """What a move changes that the functions of other libraries may take."""
    types = frozenset(change.subject for change in difference.changes if change.kind is ChangeKind.TYPE)
    return Changed(types=types, numbers=frozenset(_replaced(difference.older, difference.newer)))


def with_holders(found: Changed, abis: Iterable[Abi]) -> Changed:
    """The same with all types that hold or point to one of them, as some ABIs know them."""
    layouts_ = [item for abi in abis for library in abi.libraries.values() for item in library.types.items()]
    types = set(found.types)
    while more := {name for name, type_ in layouts_ if name not in types and _holds(type_, types, found.numbers)}:
        types |= more
    return Changed(types=frozenset(types), numbers=found.numbers)


def takers(library: AbiLibrary, found: Changed) -> Mapping[str, str]:
    """The exported symbols that take something that changed, each with one such type."""
    uses = layouts.users(library)
    hits = {symbol: name for name in sorted(found.types & uses.keys(), reverse=True) for symbol in uses[name]}
    texts = {name: _texts(function) for name, function in library.functions.items()}
    texts |= {name: (type_,) for name, type_ in library.variables.items()}
    for symbol in sorted(texts.keys() - hits.keys()):
        if numbers := sorted(_numbers(texts[symbol]) & found.numbers):
            hits[symbol] = numbers[0]
    return hits


def untyped(library: AbiLibrary) -> frozenset[str]:
    """The exported symbols of which no type is known."""
    public = {symbol.name for symbol in library.symbols if not symbol.private}
    return frozenset(public - library.functions.keys() - library.variables.keys())


def _holds(type_: AbiType, types: set[str], numbers: frozenset[str]) -> bool:
    texts = [member.type for member in type_.members]
    return not types.isdisjoint(layouts.named(texts)) or not numbers.isdisjoint(_numbers(texts))


def _replaced(older: Abi, newer: Abi) -> Iterator[str]:
    for name in older.libraries.keys() & newer.libraries.keys():
        for was, now in _pairs(older.libraries[name], newer.libraries[name]):
            if not same_type(was, now):
                before, after = _written(was), _written(now)
                plain, shaped = set(map(_plain, before)), set(before)
                yield from plain - set(map(_plain, after)) or shaped - set(after) or plain


def _pairs(old: AbiLibrary, new: AbiLibrary) -> Iterator[tuple[str, str]]:
    """What stands in the same place in both."""
    for name in old.functions.keys() & new.functions.keys():
        was, now = _texts(old.functions[name]), _texts(new.functions[name])
        if len(was) == len(now):
            yield from zip(was, now, strict=True)
    for name in old.variables.keys() & new.variables.keys():
        yield old.variables[name], new.variables[name]
    for name in old.types.keys() & new.types.keys():
        members = {member.name: member.type for member in new.types[name].members}
        yield from ((m.type, members[m.name]) for m in old.types[name].members if m.name in members)


def _texts(function: AbiFunction) -> tuple[str, ...]:
    return (function.result, *function.parameters)


def _numbers(texts: Iterable[str]) -> frozenset[str]:
    """The number types in some types, each also with its stars and lengths: ``char`` and ``char *[2]``."""
    written = [number for text in texts for number in _written(text)]
    return frozenset((*written, *map(_plain, written))) - {"void"}


def _written(text: str) -> list[str]:
    """All that is no struct, union or enumeration, in order."""
    return [f"{word} {shape.replace(' ', '')}".rstrip() for word, shape in _NUMBER.findall(_NAMED.sub(" ", text))]


def _plain(number: str) -> str:
    return number.partition(" *")[0].partition(" [")[0]
