"""Native wheels that a build or a user takes: unpacked side by side, and a damaged one is named, not traced back."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheel_factory import EPOCH, make_tree, make_wheel

from farm.build import fetched, linking
from farm.build.frame import unpack_deps
from farm.build.sandbox import Sandbox
from farm.errors import BinaryFormatError, PlanError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.wheel.pack import pack

NAME = "native_leaf-1.0-py3-none-any.whl"


def with_manifest(folder: Path, text: str) -> Path:
    """A wheel that says it is native, with this native.json."""
    tree = make_tree(folder / "tree", NAME)
    (tree / "native_leaf-1.0.dist-info" / "native.json").write_text(text)
    return pack(tree, NAME, folder, epoch_seconds=EPOCH)


def test_wheels_lie_side_by_side_and_one_wheel_for_two_needs_once(tmp_path: Path) -> None:
    one, two = make_wheel(tmp_path, "native_one-1.0-py3-none-any.whl"), make_wheel(tmp_path, NAME)
    site = tmp_path / "site"
    unpack_deps({"one": one, "leaf": two, "leaf again": two}, site)
    assert {p.name for p in site.iterdir()} >= {"native_one", "native_leaf", "native_leaf-1.0.dist-info"}
    assert (site / "native_one" / "tool.sh").stat().st_mode & 0o777 == 0o755


def test_two_wheels_of_one_package_are_refused(tmp_path: Path) -> None:
    old, new = make_wheel(tmp_path, NAME), make_wheel(tmp_path, NAME.replace("1.0", "2.0"))
    with pytest.raises(PlanError, match="native_leaf comes from two"):
        unpack_deps({"old": old, "new": new}, tmp_path / "site")


def test_a_wheel_that_two_readers_see_differently_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, NAME)
    wheel.write_bytes(b"#!/bin/sh\n" + wheel.read_bytes())  # zipfile reads it all the same
    with pytest.raises(BinaryFormatError, match=NAME):
        unpack_deps({"leaf": wheel}, tmp_path / "site")


def test_a_damaged_manifest_names_file_and_key(tmp_path: Path) -> None:
    site = tmp_path / "site"
    unpack_deps({"leaf": with_manifest(tmp_path, '{"format": "x"}')}, site)
    with pytest.raises(BinaryFormatError, match="not a native manifest") as caught:
        linking.dependencies(Sandbox(mounts=(), enabled=False), site)
    assert caught.value.where == str(site / "native_leaf-1.0.dist-info" / "native.json")
    assert caught.value.fix


def test_a_channel_with_a_damaged_wheel_names_it(tmp_path: Path) -> None:
    wheel = with_manifest(tmp_path, "{}")
    Index(tmp_path / "index").publish("staging", [IndexFile(path=wheel)])
    with pytest.raises(BinaryFormatError, match="not a native manifest") as caught:
        fetched.offered(tmp_path / "index", "staging")
    assert NAME in str(caught.value)
