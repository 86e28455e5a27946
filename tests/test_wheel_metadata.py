"""METADATA and WHEEL survive being read and written, whoever wrote them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.errors import BinaryFormatError
from farm.wheel import metadata, names
from farm.wheel.metadata import Headers, parse_headers

FOREIGN = b"""Metadata-Version: 2.1
Name: Foo.Bar
Version: 1.0
Author: J\xc3\xb6rg
X-Vendor: unknown
License: Several lines
        of an old licence
Requires-Dist: numpy (>=1.0)
Requires-Dist: typing ; python_version < '3.5'
Provides-Extra: test

# A body: with a colon

Requires-Dist: not-a-header
"""


def test_round_trip_is_byte_for_byte() -> None:
    assert parse_headers(FOREIGN, "x").format() == FOREIGN
    latin = FOREIGN.replace(b"\xc3\xb6", b"\xf6")  # old tools did not write UTF-8
    assert parse_headers(latin, "x").format() == latin


line = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).map(str.strip).filter(bool)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(
    st.lists(st.tuples(st.from_regex(r"\A[A-Za-z][A-Za-z0-9-]{0,10}\Z"), line), max_size=6),
    st.none() | st.text(max_size=50),
)
def test_what_is_written_is_read_back(fields: list[tuple[str, str]], body: str | None) -> None:
    text = None if body is None else body.replace("\r", "")
    headers = Headers(fields=tuple(fields), body=text)
    assert parse_headers(headers.format(), "x") == headers


def test_headers_are_found_without_case_and_replaced_in_place() -> None:
    headers = parse_headers(FOREIGN, "x")
    assert headers.all("requires-dist") == ("numpy (>=1.0)", "typing ; python_version < '3.5'")
    changed = headers.with_header("Requires-Dist", ["a", "b", "c"])
    keys = [key for key, _ in changed.fields]
    assert keys[6:10] == ["Requires-Dist"] * 3 + ["Provides-Extra"]
    assert changed.body == headers.body
    assert headers.with_header("Requires-Dist", []).all("Requires-Dist") == ()


@pytest.mark.parametrize("value", ["a\nName: evil", "a\r\nb", "a\n\nbody", "a\0"])
def test_values_cannot_become_headers(value: str) -> None:
    with pytest.raises(BinaryFormatError, match="line break"):
        metadata.make_metadata([("Summary", value)])


@pytest.mark.parametrize(
    "content",
    [
        b"no header here\n",
        b"Name: a\n",
        FOREIGN.replace(b"Foo.Bar", b"Other"),
        FOREIGN.replace(b"Version: 1.0", b"Version: 2.0"),
        FOREIGN.replace(b"Version: 1.0", b"Version: x"),
        b"Name: foo-bar\n" + FOREIGN,
        FOREIGN.replace(b"X-Vendor: unknown", b"X-Vendor: unknown\rRequires-Dist: unseen"),
        FOREIGN.replace(b"an old licence", b"an old licence\rRequires-Dist: unseen"),
    ],
)
def test_metadata_of_another_wheel(content: bytes) -> None:
    name = names.parse("foo_bar-1.0-py3-none-any.whl")
    assert metadata.parse_metadata(FOREIGN, name, "x").get("name") == "Foo.Bar"
    with pytest.raises(BinaryFormatError):
        metadata.parse_metadata(content, name, "x")


def test_wheel_file_lists_expanded_tags() -> None:
    name = names.parse("foo-1.0-3b-py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    headers = parse_headers(metadata.make_wheel_file(name, generator="farm"), "x")
    assert headers.all("Tag") == (
        "py2-none-manylinux2014_x86_64",
        "py2-none-manylinux_2_17_x86_64",
        "py3-none-manylinux2014_x86_64",
        "py3-none-manylinux_2_17_x86_64",
    )
    assert headers.get("Build") == "3b"
    metadata.check_wheel_file(headers, name, "x")


def test_project_of_old_requirements() -> None:
    assert metadata.project_of("Foo.Bar[x] (>=1.0); python_version<'3'") == "foo-bar"
    assert metadata.project_of("(") == ""


def test_names_with_version_epochs() -> None:
    name = names.parse("native_gmp-10!6.3.0-py3-none-manylinux_2_17_x86_64.whl")
    assert (name.project, name.parsed_version.epoch, name.dist_info) == (
        "native-gmp",
        10,
        "native_gmp-10!6.3.0.dist-info",
    )
    assert name.with_build("2").filename == "native_gmp-10!6.3.0-2-py3-none-manylinux_2_17_x86_64.whl"
    assert name.is_dist_info("Native.GMP-10!6.3.dist-info")
    assert not name.is_dist_info("native_gmp-6.3.0.dist-info")
