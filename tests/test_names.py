"""Shared names are the same everywhere, unique, and can be read back."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from farm.errors import CatalogError
from farm.model import names
from farm.model.binary import BinaryFormat

LIBRARIES = st.text(string.ascii_lowercase + string.digits + "-_+", min_size=1, max_size=20).filter(
    lambda s: s[0] not in "-_+" and s[-1] not in "-_"
)


@pytest.mark.parametrize(
    ("binary_format", "name", "install"),
    [
        ("elf", "libgmp-nf10.so", "libgmp-nf10.so"),
        ("pe", "gmp-nf10.dll", "gmp-nf10.dll"),
        ("macho", "libgmp-nf10.dylib", "@rpath/libgmp-nf10.dylib"),
    ],
)
def test_one_name_for_each_format(binary_format: str, name: str, install: str) -> None:
    assert names.shared_name("gmp", 10, binary_format) == name
    assert names.install_name("gmp", 10, binary_format) == install
    assert names.parse_shared_name(install) == names.SharedName(
        library="gmp", epoch=10, format=BinaryFormat(binary_format)
    )


@given(LIBRARIES, st.integers(1, 99), st.sampled_from(BinaryFormat))
def test_names_are_read_back(library: str, epoch: int, binary_format: BinaryFormat) -> None:
    name = names.shared_name(library, epoch, binary_format)
    assert names.parse_shared_name(name) == names.SharedName(library=library, epoch=epoch, format=binary_format)


@given(LIBRARIES, st.integers(1, 99), st.integers(1, 99), st.sampled_from(BinaryFormat))
def test_another_epoch_has_the_same_length(library: str, one: int, two: int, binary_format: BinaryFormat) -> None:
    name = names.install_name(library, one, binary_format)
    other = names.renamed(name, two)
    assert other == names.install_name(library, two, binary_format)
    assert len(other) == len(name)


@pytest.mark.parametrize("name", ["libgmp.so.10", "libgmp-nf1.so", "libgmp-nf00.so", "libgmp-nf10.so.1", "gmp.dll", ""])
def test_other_names_are_not_ours(name: str) -> None:
    assert names.parse_shared_name(name) is None


@pytest.mark.parametrize(
    ("library", "epoch"), [("gmp", 0), ("gmp", 100), ("../gmp", 1), ("", 1), ("Gmp", 1), ("a b", 1)]
)
def test_bad_names_are_refused(library: str, epoch: int) -> None:
    with pytest.raises(CatalogError):
        names.shared_name(library, epoch, "elf")


def test_anchor_is_not_a_shared_name() -> None:
    anchor = names.anchor_name("native_gmp", 10)
    assert anchor == "libnative_gmp-nf10.anchor.so"
    assert names.parse_shared_name(anchor) is None


def test_versions_carry_the_epoch() -> None:
    assert names.native_version("6.3.0", 0, 10) == "10!6.3.0"
    assert names.native_version("6.3.0", 2, 10) == "10!6.3.0.post2"
    for release, revision in (("1!6.3.0", 0), ("6.3.0+x", 0), ("6.3.0.post1", 1), ("six", 0)):
        with pytest.raises(CatalogError):
            names.native_version(release, revision, 10)


def test_bounds_keep_a_dependent_in_its_epoch() -> None:
    spec = SpecifierSet(f">={names.native_version('6.3.0', 0, 10)},<{names.upper_bound(10)}")
    assert Version("10!6.3.0.post1") in spec
    assert Version("10!7.0") in spec
    assert Version("11!6.3.0") not in spec
    assert not list(spec.filter([Version("11!0rc1"), Version("6.3.0"), Version("10!6.2.1")]))
