"""Complex arithmetic by the compiler's run time is refused where that is wrong, and only there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import wheel_fixtures as wf
from zig_fixtures import made

from farm.gates.audit import policy_for_tag
from farm.gates.checks import runtime
from farm.gates.contents import load
from farm.model.finding import Severity

DIVIDES = "double _Complex q(double _Complex a, double _Complex b) { return a / b; }\n"
DIVIDES_SINGLE = "float _Complex f(float _Complex a, float _Complex b) { return a / b; }\n"
MULTIPLIES = "float _Complex m(float _Complex a, float _Complex b) { return a * b; }\n"
OWN = """
__attribute__((visibility("hidden"))) double _Complex __divdc3(double a, double b, double c, double d)
{ return a + b + c + d; }
__attribute__((visibility("hidden"))) float _Complex __divsc3(float a, float b, float c, float d)
{ return a + b + c + d; }
"""
POWER, X86, X64 = "powerpc64le-linux-gnu.2.19", "x86-linux-gnu.2.17", "x86_64-linux-gnu.2.17"
TAGS = {POWER: "manylinux_2_17_ppc64le", X86: "manylinux_2_17_i686", X64: "manylinux_2_17_x86_64"}
MEMBER = "t/core.so"


def library(target: str, source: str, *flags: str) -> bytes:
    command = ("cc", "-fPIC", "-shared", *flags, "-Wl,-soname,core.so", "-o", "core.so", "a.c")
    return made(target, (command,), (("a.c", source),))["core.so"]


def findings(
    out: Path, target: str, content: bytes, twins: Mapping[str, Path] | None = None, *, strict: bool = True
) -> list[tuple[str, Severity]]:
    """(first function that is named, severity) of each finding."""
    wheel = wf.make_wheel(out, {MEMBER: content}, filename=f"t-1.0-cp311-cp311-{TAGS[target]}.whl")
    policy = replace(policy_for_tag(TAGS[target]), strict=strict, debug_symbols=dict(twins or {}))
    found = list(runtime.CHECK.run(load(wheel), policy))
    assert all("-fcomplex-arithmetic=basic" in finding.fix for finding in found)
    return [(next(w for w in f.fact.split() if w.startswith("__")), f.severity) for f in found]


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        (POWER, DIVIDES, [("__divdc3", Severity.ERROR)]),
        (POWER, DIVIDES_SINGLE, [("__divsc3", Severity.ERROR)]),
        (POWER, MULTIPLIES, [("__mulsc3", Severity.WARNING)]),
        (POWER, DIVIDES + OWN, []),
        (POWER, MULTIPLIES + DIVIDES + OWN, [("__mulsc3", Severity.WARNING)]),
        (X86, DIVIDES, []),  # doubles are right there
        (X86, DIVIDES_SINGLE, [("__divsc3", Severity.ERROR)]),
        (X86, DIVIDES_SINGLE + OWN, []),
        (X64, DIVIDES + DIVIDES_SINGLE + MULTIPLIES, []),
    ],
)
def test_what_is_wrong_is_found_and_what_is_right_is_not(
    target: str, source: str, expected: list[tuple[str, Severity]], tmp_path: Path
) -> None:
    """The shipped file has no names; the one before it was stripped tells."""
    twin = tmp_path / "twin.so"
    twin.write_bytes(library(target, source))
    stripped = library(target, source, "-Wl,-s")
    assert findings(tmp_path, target, stripped, {MEMBER: twin}) == expected
    # Wheels of dependents keep the names of their functions; then the file itself tells, whoever built it.
    assert findings(tmp_path, target, twin.read_bytes(), strict=False) == expected


def test_without_names_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert findings(tmp_path, POWER, library(POWER, DIVIDES, "-Wl,-s")) == []


def test_a_name_without_an_origin_is_a_warning_in_the_farms_own_wheels(tmp_path: Path) -> None:
    """An exported function, in a file that has no other names: nobody knows whose it is."""
    source = OWN.replace("hidden", "default")
    content = library(POWER, source, "-Wl,-s")
    expected = [("__divdc3", Severity.WARNING), ("__divsc3", Severity.WARNING)]
    assert findings(tmp_path, POWER, content) == expected
    assert findings(tmp_path, POWER, content, strict=False) == []
    twin = tmp_path / "twin.so"
    twin.write_bytes(library(POWER, source))
    assert findings(tmp_path, POWER, content, {MEMBER: twin}) == []


def test_a_twin_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    content = library(POWER, DIVIDES, "-Wl,-s")
    wheel = wf.make_wheel(tmp_path, {MEMBER: content}, filename=f"t-1.0-cp311-cp311-{TAGS[POWER]}.whl")
    policy = replace(policy_for_tag(TAGS[POWER]), debug_symbols={MEMBER: tmp_path / "nothing.so"})
    (found,) = runtime.CHECK.run(load(wheel), policy)
    assert "cannot be read" in found.fact
