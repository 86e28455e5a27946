"""Layouts of types: which symbols rely on each, and what changed in one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from farm.model.abi import AbiLibrary, AbiMember, AbiType, Verdict

_NAMED = re.compile(r"\b(?:struct|union|enum) [\w.:]+")
_BYTE = 8
_QUALIFIERS = re.compile(r"\b(?:const|volatile|restrict)\b *")


def same_type(was: str, now: str) -> bool:
    """Whether two types are the same to a caller: `const` and its like make no code."""
    return was == now or _plain(was) == _plain(now)


def _plain(text: str) -> str:
    return _QUALIFIERS.sub("", text).replace(" ", "")


def constants(text: str) -> int:
    """How often a type says `const`."""
    return text.replace("*", " ").replace("[", " ").split().count("const")


def users(library: AbiLibrary) -> Mapping[str, frozenset[str]]:
    """Type name -> the exported symbols whose type leads to it, through members and pointers."""
    leads = {name: named(member.type for member in layout.members) for name, layout in library.types.items()}
    found: dict[str, set[str]] = {}
    for symbol, types in _direct(library):
        for name in _closure(types, leads):
            found.setdefault(name, set()).add(symbol)
    return {name: frozenset(symbols) for name, symbols in found.items()}


def reachable(library: AbiLibrary) -> Mapping[str, AbiType]:
    """The types that some exported symbol leads to."""
    used = users(library)
    return {name: layout for name, layout in library.types.items() if name in used}


def _direct(library: AbiLibrary) -> Iterator[tuple[str, frozenset[str]]]:
    for symbol, function in library.functions.items():
        yield symbol, named((function.result, *function.parameters))
    for symbol, type_ in library.variables.items():
        yield symbol, named((type_,))


def named(types: Iterable[str]) -> frozenset[str]:
    """The structs, unions and enumerations in some types."""
    return frozenset(name for text in types for name in _NAMED.findall(text))


def _closure(start: frozenset[str], leads: Mapping[str, frozenset[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(leads.get(name, ()))
    return seen


def changes(old: AbiType, new: AbiType) -> Iterator[tuple[Verdict, str]]:
    """What differs between two layouts of one type, each with what it means."""
    if old == new:
        return
    yield from _values(old.values, new.values)
    yield from _members(old.members, new.members)
    if old.size != new.size:
        yield Verdict.BREAKING, f"was {old.size} bytes, is {new.size}"


def _values(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[tuple[Verdict, str]]:
    for name in [*old, *(n for n in new if n not in old)]:
        if name not in new:
            yield Verdict.BREAKING, f"{name} = {old[name]} is gone"
        elif name not in old:
            yield Verdict.COMPATIBLE, f"{name} = {new[name]} is new"
        elif old[name] != new[name]:
            yield Verdict.BREAKING, f"{name} was {old[name]}, is {new[name]}"


def _members(old: Iterable[AbiMember], new: Iterable[AbiMember]) -> Iterator[tuple[Verdict, str]]:
    before, after = _by_name(old), _by_name(new)
    renamed = _renamed(before, after)
    for was, now in renamed.items():
        yield Verdict.COMPATIBLE, f"member {was} is called {now}"
    for name in [*before, *(n for n in after if n not in before)]:
        if name in renamed or name in renamed.values():
            continue
        if name not in after:
            yield Verdict.BREAKING, f"member {name} is gone"
        elif name not in before:
            yield Verdict.BREAKING, f"member {name} is new, at byte {_at(after[name])}"
        else:
            yield from _member(name, before[name], after[name])


def _by_name(members: Iterable[AbiMember]) -> dict[str, AbiMember]:
    """Those without a name by their place; several may be at one, in a union."""
    found: dict[str, AbiMember] = {}
    for member in members:
        name = member.name or f"at {member.offset}"
        while name in found:
            name += "'"
        found[name] = member
    return found


def _renamed(before: Mapping[str, AbiMember], after: Mapping[str, AbiMember]) -> dict[str, str]:
    """Members that only have another name: same place, same type."""
    fresh = {member.offset: name for name, member in after.items() if name not in before}
    gone = {name: fresh.get(member.offset, "") for name, member in before.items() if name not in after}
    return {was: now for was, now in gone.items() if now and same_type(before[was].type, after[now].type)}


def _member(name: str, was: AbiMember, now: AbiMember) -> Iterator[tuple[Verdict, str]]:
    if was.offset != now.offset:
        yield Verdict.BREAKING, f"member {name} was at byte {_at(was)}, is at {_at(now)}"
    if was.type != now.type:
        verdict = Verdict.COMPATIBLE if same_type(was.type, now.type) else Verdict.BREAKING
        yield verdict, f"member {name} was `{was.type}`, is `{now.type}`"


def _at(member: AbiMember) -> str:
    """A place in bytes; of bit fields with the bit."""
    whole, bit = divmod(member.offset, _BYTE)
    return f"{whole}.{bit}" if bit else str(whole)
