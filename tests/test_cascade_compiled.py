"""A dependent that may hold other code of a library's headers is not moved: it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import toy
from cascade_farm import Farm, small
from cascades import step
from plans import PLATFORM

from farm.cascade import compiled
from farm.errors import GateError
from farm.model.plan import Step
from farm.plan.keys import requires_input
from farm.settings import Settings

SQUARE = "static inline int gmp_square(int a) { return a * a; }\n"


@pytest.fixture
def farm(at: Settings) -> Iterator[Farm]:
    with small(at) as farm:
        yield farm


def native(farm: Farm, place: Path, salt: str, header: str) -> Step:
    """A native wheel that is stored, with one header."""
    one = replace(step("gmp", salt=salt), kind="library", python=None)
    tree = place / salt / "tree"
    (tree / "native_gmp/include").mkdir(parents=True)
    (tree / "native_gmp/__init__.py").write_text("")
    (tree / "native_gmp/include/gmp.h").write_text(header)
    made = toy.make_wheel(tree, f"native_gmp-{len(salt)}.0-py3-none-{PLATFORM}.whl", place / salt)
    farm.store.put(one.key, made)
    return one


def built_against(farm: Farm, *natives: Step) -> Step:
    inputs = tuple(requires_input(one.recipe, one.version, one.key) for one in natives)
    one = replace(step("gmpy2"), inputs=inputs)
    farm.ledger.record_plan([*natives, one])
    return one


@pytest.mark.parametrize(
    ("header", "format_", "said"),
    [
        (SQUARE + "int gmp_new(void);\n", "elf", ""),
        (SQUARE.replace("a * a", "(a * a)"), "elf", "the function gmp_square"),
        (SQUARE + "#ifdef _WIN32\ntypedef long gmp_t;\n#endif\n", "pe", ""),
        ("", "elf", "the function gmp_square"),
    ],
)
def test_code_of_headers_that_is_another(farm: Farm, tmp_path: Path, header: str, format_: str, said: str) -> None:
    old, new = native(farm, tmp_path, "a", SQUARE), native(farm, tmp_path, "bb", header)
    wheel = built_against(farm, old)
    if not said:
        compiled.check(wheel.key, [new], format_, farm.store, farm.ledger)
        return
    with pytest.raises(GateError, match=f"compiled with what is another one in gmp {new.version}: {said}"):
        compiled.check(wheel.key, [new], format_, farm.store, farm.ledger)


def test_the_same_build_is_not_looked_at(farm: Farm) -> None:
    old = step("gmp", salt="gone")
    wheel = built_against(farm, old)
    compiled.check(wheel.key, [old], "elf", farm.store, farm.ledger)


def test_headers_that_are_gone_or_were_never_known(farm: Farm, tmp_path: Path) -> None:
    new = native(farm, tmp_path, "bb", SQUARE)
    for wheel in (built_against(farm, step("gmp", salt="gone")), step("gmpy2", salt="elsewhere")):
        with pytest.raises(GateError, match="the headers that it was compiled with are not known"):
            compiled.check(wheel.key, [new], "elf", farm.store, farm.ledger)
