"""What is identical, compatible and breaking, said of ABIs that are written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm.abi import layouts, surface
from farm.abi.compare import compare
from farm.abi.layouts import same_type
from farm.model.abi import (
    Abi,
    AbiDifference,
    AbiFunction,
    AbiLibrary,
    AbiMember,
    AbiSymbol,
    AbiType,
    ChangeKind,
    Verdict,
)

STREAM = AbiType(
    size=16, members=(AbiMember(name="next", type="char *"), AbiMember(name="left", type="int", offset=64))
)
LEVEL = AbiType(size=4, values={"LOW": 0, "HIGH": 1})


def library(**changes: Any) -> AbiLibrary:
    fields: dict[str, Any] = {
        "symbols": (
            AbiSymbol(name="close"),
            AbiSymbol(name="names", kind="object", size=24),
            AbiSymbol(name="open"),
            AbiSymbol(name="tables", kind="object", size=512, private=True),
        ),
        "functions": {
            "open": AbiFunction(result="struct stream *", parameters=("const char *", "enum level")),
            "close": AbiFunction(result="int", parameters=("struct stream *",)),
        },
        "variables": {"names": "const char *[3]", "tables": "const short[256]"},
        "types": {"struct stream": STREAM, "enum level": LEVEL},
        "typed": True,
    }
    return AbiLibrary(**{**fields, **changes})


def abi(*, headers: dict[str, dict[str, str]] | None = None, **changes: Any) -> Abi:
    return Abi(
        recipe="t",
        release="1.0",
        epoch=1,
        platform="p",
        abi_class="elf64",
        libraries={"t": library(**changes)},
        headers=headers or {},
    )


def texts(found: AbiDifference) -> list[tuple[str, str, str]]:
    return [(change.verdict.value, change.subject, change.text) for change in found.changes]


def without(name: str) -> tuple[AbiSymbol, ...]:
    return tuple(symbol for symbol in library().symbols if symbol.name != name)


def replaced(**changes: AbiSymbol) -> tuple[AbiSymbol, ...]:
    return tuple(changes.get(symbol.name, symbol) for symbol in library().symbols)


def test_nothing_changed() -> None:
    found = compare(abi(), abi())
    assert (found.verdict, found.changes, found.untyped) == (Verdict.IDENTICAL, (), ())


def test_a_symbol_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    gone = compare(abi(), abi(symbols=without("close")))
    assert (gone.verdict, texts(gone)) == (Verdict.BREAKING, [("breaking", "close", "is gone")])
    assert gone.changes[0].symbols == {"close"}
    new = compare(abi(symbols=without("close")), abi())
    assert (new.verdict, texts(new)) == (Verdict.COMPATIBLE, [("compatible", "close", "is new")])


@pytest.mark.parametrize(
    ("symbol", "verdict", "text"),
    [
        (AbiSymbol(name="names", kind="object", size=32), "breaking", "was 24 bytes of data, is 32: programs may hold"),
        (AbiSymbol(name="names", kind="func"), "breaking", "was a object, is a func"),
        (AbiSymbol(name="tables", kind="object", size=8, private=True), "compatible", "is 8; no header names it"),
        (AbiSymbol(name="open", kind="ifunc"), "compatible", "was a func, is a ifunc"),
        (AbiSymbol(name="open", version="T_2"), "compatible", "has a version now: T_2"),
    ],
)
def test_symbols_that_changed(symbol: AbiSymbol, verdict: str, text: str) -> None:
    (change,) = compare(abi(), abi(symbols=replaced(**{symbol.name: symbol}))).changes
    assert change.verdict == verdict
    assert text in change.text


def test_a_symbol_version_that_moved_breaks() -> None:
    old = abi(symbols=(AbiSymbol(name="open", version="T_1"),))
    moved = compare(old, abi(symbols=(AbiSymbol(name="open", version="T_2"),)))
    assert texts(moved)[0] == ("breaking", "open", "is no longer there in version T_1, only in T_2")
    both = compare(old, abi(symbols=(AbiSymbol(name="open", version="T_1"), AbiSymbol(name="open", version="T_2"))))
    assert texts(both) == [("compatible", "open", "is there in version T_2 too")]


@pytest.mark.parametrize(
    ("function", "verdict", "text"),
    [
        (AbiFunction(result="int", parameters=("struct stream *", "int")), "breaking", "took 1 argument, takes 2"),
        (AbiFunction(result="void", parameters=("struct stream *",)), "breaking", "returned `int`, returns `void`"),
        (AbiFunction(result="int", parameters=("long int",)), "breaking", "argument 1 was `struct stream *`, is `long"),
        (AbiFunction(result="int", parameters=("struct stream *",), variadic=True), "breaking", "takes any number"),
        (AbiFunction(result="int", parameters=("const struct stream *",)), "compatible", "differs in qualifiers"),
    ],
)
def test_functions_that_changed(function: AbiFunction, verdict: str, text: str) -> None:
    (change,) = compare(abi(), abi(functions={**library().functions, "close": function})).changes
    assert (change.kind, change.subject, change.verdict) == (ChangeKind.FUNCTION, "close", verdict)
    assert text in change.text


def member(name: str, type_: str, offset: int) -> AbiMember:
    return AbiMember(name=name, type=type_, offset=offset)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (
            AbiType(size=24, members=(*STREAM.members, member("more", "long int", 128))),
            [("breaking", "member more is new, at byte 16"), ("breaking", "was 16 bytes, is 24")],
        ),
        (
            AbiType(size=16, members=(member("left", "int", 0), member("next", "char *", 64))),
            [
                ("breaking", "member left was at byte 8, is at 0"),
                ("breaking", "member next was at byte 0, is at 8"),
            ],
        ),
        (
            AbiType(size=16, members=(member("next", "const char *", 0), member("rest", "int", 64))),
            [
                ("compatible", "member left is called rest"),
                ("compatible", "member next was `char *`, is `const char *`"),
            ],
        ),
        (
            AbiType(size=8, members=(member("next", "char *", 0),)),
            [("breaking", "member left is gone"), ("breaking", "was 16 bytes, is 8")],
        ),
    ],
)
def test_layouts_that_changed(layout: AbiType, expected: list[tuple[str, str]]) -> None:
    found = compare(abi(), abi(types={**library().types, "struct stream": layout}))
    assert sorted((c.verdict.value, c.text) for c in found.changes) == sorted(expected)
    assert {c.symbols for c in found.changes} == {frozenset({"open", "close"})}


def test_constants_of_an_enumeration() -> None:
    inserted = AbiType(size=4, values={"LOW": 0, "MIDDLE": 1, "HIGH": 2})
    found = compare(abi(), abi(types={**library().types, "enum level": inserted}))
    assert texts(found) == [
        ("breaking", "enum level", "HIGH was 1, is 2"),
        ("compatible", "enum level", "MIDDLE = 1 is new"),
    ]
    assert found.changes[0].symbols == {"open"}
    appended = AbiType(size=4, values={**LEVEL.values, "TOP": 2})
    assert compare(abi(), abi(types={**library().types, "enum level": appended})).verdict is Verdict.COMPATIBLE


def test_a_library_that_is_gone_and_one_that_is_new() -> None:
    two = Abi(
        recipe="t", release="1", epoch=1, platform="p", abi_class="elf64", libraries={"t": library(), "u": library()}
    )
    assert compare(two, abi()).verdict is Verdict.BREAKING
    assert texts(compare(abi(), two)) == [("compatible", "u", "the library is new")]


def test_headers_change_no_program_that_is_built() -> None:
    old = abi(headers={"t.h": {"SIZE": "4", "OLD": "1"}, "gone.h": {}})
    found = compare(old, abi(headers={"t.h": {"SIZE": "8", "NEW": '"x"'}}))
    assert found.verdict is Verdict.COMPATIBLE
    said = ["NEW is new", "OLD was 1, is gone", "SIZE was 4, is 8", "is gone"]
    assert sorted(t for _, _, t in texts(found)) == said
    assert [c.text for c in found.changes if c.kind is ChangeKind.CONSTANT] == said[1:3]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"t.h": {"A": "1"}}, {"t.h": {}, "u.h": {"A": "1"}}, []),
        ({"t.h": {"A": "1"}}, {"u.h": {"A": "1"}}, []),
        ({"t.h": {"A": "1"}}, {"u.h": {"A": "2"}}, ["A was 1, is 2"]),
        ({"t.h": {"A": "1"}, "u.h": {}}, {"u.h": {}}, ["A was 1, is gone"]),
        ({"t.h": {"A": "1"}}, {"t.h": {"A": "(1 << 0)"}}, []),
        ({"t.h": {"A": "(1 << 4)"}}, {"t.h": {"A": "(1 << 5)"}}, ["A was (1 << 4), is (1 << 5)"]),
        ({"t.h": {"A": "1 | 2"}}, {"t.h": {"A": "1 | 4"}}, ["A was 1 | 2, is 1 | 4"]),
    ],
)
def test_constants_that_may_have_another_value(old: Any, new: Any, told: list[str]) -> None:
    found = compare(abi(headers=old), abi(headers=new)).changes
    assert [change.text for change in found if change.kind is ChangeKind.CONSTANT] == told


@pytest.mark.parametrize(
    ("name", "was", "now", "constant"),
    [
        ("T_FLAG", "1", "2", True),
        ("T_OVERFLOW", "1", "2", True),
        ("T_VERBOSE", "1", "2", True),
        ("ZLIB_VERNUM", "0x12d0", "0x2100", False),
        ("ZLIB_VERSION", '"1.2.13"', '"2.1"', False),
        ("T_VERSION_NUMBER", "1002013", "2001000", False),
        ("T_DATE", "20231224", "20240101", False),
        ("__GNU_MP_VERSION_MINOR", "2", "1", False),
        ("FREETYPE_PATCH", "13", "1", False),
        ("T_KEY_RELEASE", "3", "4", True),
        ("JPEG_LIB_VERSION", "62", "80", True),
        ("T_TAG_DATE", "306", "307", True),
    ],
)
def test_the_number_of_a_release_is_no_constant_that_programs_rely_on(
    name: str, was: str, now: str, constant: bool
) -> None:
    """It is called so, and its values are those of the releases."""
    older = replace(abi(headers={"t.h": {name: was}}), release="1.2.13")
    newer = replace(abi(headers={"t.h": {name: now}}), release="2.1")
    (change,) = compare(older, newer).changes
    assert (change.kind is ChangeKind.CONSTANT) == constant


def test_without_types_only_symbols_are_compared_and_that_is_said() -> None:
    bare = abi(typed=False, functions={}, variables={}, types={})
    found = compare(bare, abi(functions={}))
    assert (found.verdict, found.untyped) == (Verdict.IDENTICAL, ("t",))


def test_a_type_that_can_no_longer_be_seen() -> None:
    opaque = compare(abi(), abi(types={"enum level": LEVEL}))
    assert [(v, s) for v, s, _ in texts(opaque)] == [("breaking", "struct stream")]


def test_who_uses_a_type_through_others() -> None:
    types = {
        "struct a": AbiType(size=8, members=(member("b", "struct b *", 0),)),
        "struct b": AbiType(size=8, members=(member("a", "struct a *", 0), member("call", "void (enum level) *", 64))),
        "enum level": LEVEL,
    }
    found = layouts.users(library(types=types, functions={"f": AbiFunction(result="void", parameters=("struct a *",))}))
    assert found == {name: {"f"} for name in types}


def test_what_is_known_no_longer_may_be_anything() -> None:
    lost = compare(abi(), abi(functions={}, variables={}))
    assert texts(lost) == [
        ("breaking", "close", "its type is not known any more; it was int (struct stream *)"),
        ("breaking", "open", "its type is not known any more; it was struct stream * (const char *, enum level)"),
        ("breaking", "names", "its type is not known any more; it was const char *[3]"),
    ], "nobody holds a copy of `tables`, which no header names"


def test_symbols_without_a_type_are_told_though_nothing_changed() -> None:
    assert compare(abi(), abi()).unknown == frozenset()
    bare = abi(functions={"open": library().functions["open"]}, variables={})
    assert compare(bare, abi()).unknown == {"close", "names"}
    assert compare(bare, abi(symbols=without("close"))).unknown == {"names"}


@pytest.mark.parametrize(
    ("was", "now", "verdict"),
    [
        ("const char *[3]", "const char * const[3]", "breaking"),
        ("const char * const[3]", "const char *[3]", "compatible"),
        ("struct constant *[3]", "struct constant *[3]", "identical"),
    ],
)
def test_data_that_became_constant(was: str, now: str, verdict: str) -> None:
    assert compare(abi(variables={"names": was}), abi(variables={"names": now})).verdict == verdict


def test_members_without_a_name_at_one_place() -> None:
    """Two nameless structs in a union: each counts."""
    both = AbiType(size=8, members=(member("", "struct u.0", 0), member("", "struct u.1", 0)))
    other = AbiType(size=8, members=(member("", "struct v", 0), member("", "struct u.1", 0)))
    found = compare(
        abi(types={"enum level": LEVEL, "struct stream": both}),
        abi(types={"enum level": LEVEL, "struct stream": other}),
    )
    assert texts(found) == [("breaking", "struct stream", "member at 0 was `struct u.0`, is `struct v`")]


def test_types_that_only_internal_functions_lead_to_are_no_part_of_it() -> None:
    left = surface.without(library(), ["close", "open"])
    assert left.types == {}
    assert surface.without(library(), ["close"]).types == library().types


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [("const char *", "char *", True), ("char * const", "char *", True), ("constant *", "ant *", False)],
)
def test_qualifiers_make_no_code(was: str, now: str, same: bool) -> None:
    assert same_type(was, now) is same
