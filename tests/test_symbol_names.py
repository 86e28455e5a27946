"""Libraries whose public names have a prefix or suffix: built by the real farm, for every binary format."""

from __future__ import annotations

from pathlib import Path

import pytest
from named_toy import EPOCH, PRINTED, PROGRAM, PUBLIC, Made, build, compiler, products, recipe, top
from test_platforms import PLATFORMS, real

from farm import runners
from farm.abi.surface import LINKERS_OWN
from farm.binary import archive_symbols
from farm.model.names import install_name
from farm.model.outcome import Outcome
from farm.runners import ProgramTest

# What a linker reads instead of the library, by format.
STUBS = {"pe": "toy.lib", "macho": "libtoy.tbd"}


def public(name: str) -> str:
    return f"my_{name}64_"


@pytest.fixture(scope="module", params=PLATFORMS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """native-toy with both a prefix and a suffix, and native-top, which is linked to it."""
    folder = tmp_path_factory.mktemp("farm")
    toy = recipe(folder / "recipes/toy", products=products(symbol_prefix="my_", symbol_suffix="64_"))
    return build(folder / "home", request.param, toy, top(folder / "recipes/top"))


def test_only_public_names_are_exported_and_are_what_they_were(made: Made, tmp_path: Path) -> None:
    """On every format: data stays data, functions functions; where the file tells sizes, they are right."""
    linkage = made.linkage(made.site(tmp_path))
    kinds = {symbol.name: symbol for symbol in linkage.exports if symbol.name not in LINKERS_OWN}
    assert kinds.keys() == {public(name) for name in PUBLIC}
    data = {public("toy_table"): 16, public("toy_common"): 32}
    for name, symbol in kinds.items():
        assert symbol.kind == ("object" if name in data else "func"), symbol
    if made.toolchain.binary == "elf":
        assert {name: kinds[name].size for name in data} == data
    # Nothing of its own is asked of others: calls and data inside bind to the library itself.
    assert not {symbol.name for symbol in linkage.imports} & (kinds.keys() | PUBLIC)


def test_what_linkers_read_instead_has_the_public_names(made: Made, tmp_path: Path) -> None:
    if made.toolchain.binary == "elf":  # linkers read the library itself
        return
    stub = made.site(tmp_path) / "native_toy/lib" / STUBS[made.toolchain.binary]
    if made.toolchain.binary == "macho":
        words = stub.read_text().replace(",", " ").split()
        listed = {word.strip("'") for word in words if word.startswith("'_")}
        assert listed == {f"_{public(name)}" for name in PUBLIC}
        return
    underscore = made.toolchain.symbol_prefix
    listed = {symbol.name for symbol in archive_symbols.symbols(stub)}
    functions = PUBLIC - {"toy_table", "toy_common"}
    assert {f"{underscore}{public(name)}" for name in functions} <= listed
    assert not {f"{underscore}{name}" for name in PUBLIC} & listed


def test_a_library_that_is_linked_to_it_asks_for_the_public_names(made: Made, tmp_path: Path) -> None:
    """Its sources and its recipe say nothing of them."""
    linkage = made.linkage(made.site(tmp_path), "top")
    assert install_name("toy", EPOCH, made.toolchain.binary) in linkage.needed
    imported = {symbol.name for symbol in linkage.imports}
    assert {public(name) for name in ("toy_add", "toy_table", "toy_sum_of_the_whole_table")} <= imported
    assert not imported & PUBLIC


def test_programs_run_on_the_platforms_runner(made: Made, tmp_path: Path) -> None:
    """Compiled as a user would, with the plain names in the source, and run wherever something here runs such
    programs; else it is said why not."""
    command, environment = compiler(made, tmp_path / "work", tmp_path)
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    natives = (made.wheels["top"], made.wheels["toy"])
    test = ProgramTest(source=source, natives=natives, compiler=command, environment=environment)
    runner = runners.get(made.toolchain, sysroots=real().sysroots, settings=made.settings)
    result = runner.run_program(test, tmp_path / "work")
    if made.toolchain.run.kind == "inspect":
        assert "inspected only" in result.reason
        return
    assert result.outcome is Outcome.PASSED, result
    assert result.output.split() == PRINTED
