"""What a newer ABI changes for programs that were linked to an older one. Pure.

Breaking is what makes such a program fail to load, or read and write the wrong bytes: a symbol or symbol version that
is gone, data of another size, another number or type of arguments, another layout of a public type, another value of a
constant in an enumeration. What is only added is compatible; so is a change of a macro, which programs have their own
copy of, and of the `const` of an argument, which makes no code. A function whose type is known no longer is taken for
broken: nobody knows better. Constants of headers are in programs by value: another value is told, and is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

from farm.abi import headers, layouts
from farm.abi.layouts import same_type
from farm.abi.text import signature
from farm.model.abi import (
    Abi,
    AbiChange,
    AbiDifference,
    AbiFunction,
    AbiLibrary,
    AbiSymbol,
    ChangeKind,
    Verdict,
)

_Make = Callable[..., AbiChange]


def compare(older: Abi, newer: Abi) -> AbiDifference:
    """All changes, the worst first, then by what they are about."""
    changes = [*_libraries(older, newer), *headers.changes(older, newer)]
    both = sorted(older.libraries.keys() & newer.libraries.keys())
    typed = [name for name in both if older.libraries[name].typed and newer.libraries[name].typed]
    unknown = (_unknown(older.libraries[name], newer.libraries[name]) for name in typed)
    return AbiDifference(
        older=older,
        newer=newer,
        changes=tuple(sorted(changes, key=lambda c: (-c.verdict.rank, c.library, c.kind, c.subject, c.text))),
        untyped=tuple(name for name in both if name not in typed),
        unknown=frozenset().union(*unknown),
    )


def _unknown(old: AbiLibrary, new: AbiLibrary) -> frozenset[str]:
    """What both export though no type of the older one is there to compare with: written in assembly, or chosen at load
    time (IFUNC), where debug information describes the code that chooses."""
    public = {symbol.name for symbol in old.symbols if not symbol.private}
    known = old.functions.keys() | old.variables.keys()
    return frozenset((public - known) & {symbol.name for symbol in new.symbols})


def _libraries(older: Abi, newer: Abi) -> Iterator[AbiChange]:
    for name in sorted(older.libraries.keys() | newer.libraries.keys()):
        make = partial(AbiChange, library=name)
        old, new = older.libraries.get(name), newer.libraries.get(name)
        if new is None:
            names = frozenset(s.name for s in older.libraries[name].symbols)
            yield make(
                kind=ChangeKind.LIBRARY,
                subject=name,
                verdict=Verdict.BREAKING,
                text="the library is gone",
                symbols=names,
            )
        elif old is None:
            yield make(kind=ChangeKind.LIBRARY, subject=name, verdict=Verdict.COMPATIBLE, text="the library is new")
        else:
            yield from _library(old, new, make)


def _library(old: AbiLibrary, new: AbiLibrary, make: _Make) -> Iterator[AbiChange]:
    yield from _symbols(old.symbols, new.symbols, make)
    if not (old.typed and new.typed):
        return
    private = {symbol.name for symbol in old.symbols if symbol.private}
    yield from _forgotten(old, new, private, make)
    for name in sorted(old.functions.keys() & new.functions.keys()):
        yield from _function(name, old.functions[name], new.functions[name], make)
    for name in sorted((old.variables.keys() & new.variables.keys()) - private):
        yield from _variable(name, old.variables[name], new.variables[name], make)
    yield from _types(old, new, make)


def _forgotten(old: AbiLibrary, new: AbiLibrary, private: AbstractSet[str], make: _Make) -> Iterator[AbiChange]:
    """What is exported still, but whose type only the older one knows: it may be another now."""
    functions = {name: signature(old.functions[name]) for name in old.functions.keys() - new.functions.keys()}
    variables = {name: old.variables[name] for name in old.variables.keys() - new.variables.keys() - private}
    exported = {symbol.name for symbol in new.symbols}
    for kind, lost in ((ChangeKind.FUNCTION, functions), (ChangeKind.VARIABLE, variables)):
        for name in sorted(lost.keys() & exported):
            yield make(
                kind=kind,
                subject=name,
                verdict=Verdict.BREAKING,
                text=f"its type is not known any more; it was {lost[name]}",
                symbols=frozenset({name}),
            )


def _symbols(old: Iterable[AbiSymbol], new: Iterable[AbiSymbol], make: _Make) -> Iterator[AbiChange]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        say = partial(make, kind=ChangeKind.SYMBOL, subject=name, symbols=frozenset({name}))
        if name not in after:
            yield say(verdict=Verdict.BREAKING, text="is gone")
        elif name not in before:
            yield say(verdict=Verdict.COMPATIBLE, text="is new")
        else:
            yield from _symbol(before[name], after[name], say)


def _by_name(symbols: Iterable[AbiSymbol]) -> dict[str, dict[str, AbiSymbol]]:
    """name -> version -> symbol: a name may be there in several versions."""
    found: dict[str, dict[str, AbiSymbol]] = {}
    for symbol in symbols:
        found.setdefault(symbol.name, {})[symbol.version] = symbol
    return found


def _symbol(old: Mapping[str, AbiSymbol], new: Mapping[str, AbiSymbol], say: _Make) -> Iterator[AbiChange]:
    lost, gained = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    if lost == [""]:  # a program that was linked without versions takes any
        new = {**new, "": new[gained[-1]]}
        yield say(verdict=Verdict.COMPATIBLE, text=f"has a version now: {', '.join(gained)}")
    elif lost:
        now = f", only in {', '.join(v or 'none' for v in sorted(new))}"
        yield say(verdict=Verdict.BREAKING, text=f"is no longer there in version {', '.join(lost)}{now}")
    elif gained:
        yield say(verdict=Verdict.COMPATIBLE, text=f"is there in version {', '.join(gained)} too")
    for version in sorted(old.keys() & new.keys()):
        was, now_ = old[version], new[version]
        if was.kind != now_.kind:
            yield say(verdict=_kinds(was.kind, now_.kind), text=f"was a {was.kind}, is a {now_.kind}")
        elif was.size != now_.size:
            text = f"was {was.size} bytes of data, is {now_.size}"
            if was.private:
                yield say(verdict=Verdict.COMPATIBLE, text=f"{text}; no header names it")
            else:
                yield say(verdict=Verdict.BREAKING, text=f"{text}: programs may hold a copy of the old size")


def _kinds(was: str, now: str) -> Verdict:
    """A function that is chosen at load time is called like any other."""
    return Verdict.COMPATIBLE if {was, now} <= {"func", "ifunc", "other"} else Verdict.BREAKING


def _function(name: str, old: AbiFunction, new: AbiFunction, make: _Make) -> Iterator[AbiChange]:
    if old == new:
        return
    say = partial(make, kind=ChangeKind.FUNCTION, subject=name, symbols=frozenset({name}))
    problems = list(_signature(old, new))
    if problems:
        text = f"{'; '.join(problems)}. Was {signature(old)}, is {signature(new)}"
        yield say(verdict=Verdict.BREAKING, text=text)
    else:
        yield say(verdict=Verdict.COMPATIBLE, text=f"differs in qualifiers: was {signature(old)}, is {signature(new)}")


def _signature(old: AbiFunction, new: AbiFunction) -> Iterator[str]:
    if not same_type(old.result, new.result):
        yield f"returned `{old.result}`, returns `{new.result}`"
    if len(old.parameters) != len(new.parameters):
        yield f"took {_count(len(old.parameters))}, takes {_count(len(new.parameters))}"
    else:
        for number, (was, now) in enumerate(zip(old.parameters, new.parameters, strict=True), 1):
            if not same_type(was, now):
                yield f"argument {number} was `{was}`, is `{now}`"
    if old.variadic != new.variadic:
        yield "took any number of arguments" if old.variadic else "takes any number of arguments now"


def _count(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"


def _variable(name: str, old: str, new: str, make: _Make) -> Iterator[AbiChange]:
    if old != new:
        # What was written to may not become constant: it lies in memory that cannot be written then.
        frozen = layouts.constants(new) > layouts.constants(old)
        verdict = Verdict.COMPATIBLE if same_type(old, new) and not frozen else Verdict.BREAKING
        yield make(
            kind=ChangeKind.VARIABLE,
            subject=name,
            verdict=verdict,
            text=f"was `{old}`, is `{new}`",
            symbols=frozenset({name}),
        )


def _types(old: AbiLibrary, new: AbiLibrary, make: _Make) -> Iterator[AbiChange]:
    changed = {name for name in old.types.keys() | new.types.keys() if old.types.get(name) != new.types.get(name)}
    users = layouts.users(old) if changed else {}
    still = layouts.users(new) if changed - new.types.keys() else {}
    for name in sorted(changed):
        say = partial(make, kind=ChangeKind.TYPE, subject=name, symbols=users.get(name, frozenset()))
        if name not in old.types:
            yield say(verdict=Verdict.COMPATIBLE, text="is a public type now")
        elif name not in new.types:
            # Either nothing public needs it any more, or it has become opaque: who only passes it on is not concerned.
            reachable = name in still
            yield say(
                verdict=Verdict.BREAKING if reachable else Verdict.COMPATIBLE,
                text="can no longer be seen: programs that know its layout may be wrong"
                if reachable
                else "is no longer part of any function's type",
            )
        else:
            for verdict, text in layouts.changes(old.types[name], new.types[name]):
                yield say(verdict=verdict, text=text)
