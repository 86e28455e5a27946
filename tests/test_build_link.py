"""What the linkers of Windows and macOS are told, as text; tests/test_platforms.py links with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from platform_files import toolchain
from pydantic import ValidationError

from farm.binary import archive_symbols
from farm.binary.archive_symbols import ArchiveSymbol
from farm.build import link, link_macho, link_pe
from farm.errors import BuildError
from farm.model.recipe_product import LibraryProduct


def inputs(platform: str, *exports: str) -> link.Inputs:
    product = LibraryProduct(name="toy", archive="lib/libtoy.a", exports=exports)
    archive, folder = Path("libtoy.a"), Path()
    return link.Inputs(
        product=product, epoch=3, toolchain=toolchain(platform), exports=exports, archive=archive, folder=folder
    )


@pytest.fixture(autouse=True)
def symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of a function, a table, a thread's own variable and a hidden helper."""
    kinds = {"toy_run": "func", "toy_table": "data", "toy_errno": "tls", "helper": "func"}

    found = tuple(ArchiveSymbol(name=f"_{name}", kind=kind) for name, kind in kinds.items())
    monkeypatch.setattr(archive_symbols, "symbols", lambda _path: found)


def test_data_is_marked_and_only_what_is_public_is_listed() -> None:
    text = link_pe.definition(inputs("win32", "toy_run", "toy_t*"))
    assert text == 'LIBRARY "toy-nf03.dll"\nEXPORTS\n  toy_run\n  toy_table DATA\n'


def test_no_dll_exports_a_threads_own_variable() -> None:
    with pytest.raises(BuildError, match="toy_errno is thread-local"):
        link_pe.definition(inputs("win32", "toy_run", "toy_errno"))
    assert "toy_errno" not in link_pe.definition(inputs("win32", "toy_*"))


def test_globs_that_match_nothing_are_refused() -> None:
    with pytest.raises(BuildError, match=r"no symbol that matches nothing_\*"):
        link_pe.definition(inputs("win32", "nothing_*"))
    with pytest.raises(ValidationError, match="exports"):
        inputs("win32", "a; b")


def test_the_text_stub_has_the_install_name_and_the_kinds_apart() -> None:
    text = link_macho.text_stub(inputs("macosx_11_0_arm64", "toy_*"))
    assert "install-name: '@rpath/libtoy-nf03.dylib'" in text
    assert "targets: [ arm64-macos ]" in text
    assert "    symbols: [ '_toy_run',\n      '_toy_table' ]" in text
    assert "    thread-local-symbols: [ '_toy_errno' ]" in text
    assert "helper" not in text


def test_a_dylib_records_only_libraries_that_it_takes_symbols_from() -> None:
    """As --as-needed does for ELF; of a recipe's two libraries the second need not use the first."""
    at = inputs("macosx_11_0_arm64", "toy_*")
    job = link.LinkJob(
        product=at.product,
        epoch=at.epoch,
        toolchain=at.toolchain,
        archive="libtoy.a",
        out="/farm/out",
        exports="",
        deps=(),
        earlier=("/farm/out/libother.tbd",),
    )
    argv = link.LINKERS["macho"].command(job, True).argv
    assert argv.index("-Wl,-dead_strip_dylibs") < argv.index("/farm/out/libother.tbd")
