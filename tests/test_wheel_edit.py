"""Editing a wheel: what was asked for changes, all else keeps its packed bytes, installers accept the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from wheel_factory import make_wheel

from farm.errors import BinaryFormatError
from farm.process import run
from farm.wheel import record
from farm.wheel.archive import WheelArchive
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.metadata import parse_headers

NAME = "gmpy2-2.2.1-cp311-cp311-linux_x86_64.whl"
INFO = "gmpy2-2.2.1.dist-info"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(
        tmp_path, NAME, requires=("native-gmp>=6", "numpy (>=1.0) ; extra == 'old'"), X_Unknown="keep\n        me"
    )


def headers(path: Path) -> list[tuple[str, str]]:
    with WheelArchive.open(path) as archive:
        return list(parse_headers(archive.read(f"{archive.dist_info}/METADATA"), "x").fields)


def test_requirements_change_and_all_else_keeps_its_bytes(tmp_path: Path, wheel: Path) -> None:
    changes = WheelEdits(
        requires_replace={"Native_GMP": "native-gmp>=10!6.2.0,<11!0"}, requires_add=("native-mpfr>=6!4.2,<7!0",)
    )
    out = edit(wheel, tmp_path / "out", changes)
    assert out.name == NAME
    record.verify(out)
    before, after = headers(wheel), headers(out)
    assert [h for h in after if h[0] == "Requires-Dist"] == [
        ("Requires-Dist", "native-gmp>=10!6.2.0,<11!0"),
        ("Requires-Dist", "numpy (>=1.0) ; extra == 'old'"),
        ("Requires-Dist", "native-mpfr>=6!4.2,<7!0"),
    ]
    assert [h for h in after if h[0] != "Requires-Dist"] == [h for h in before if h[0] != "Requires-Dist"]
    assert ("X-Unknown", "keep\n        me") in after
    with WheelArchive.open(wheel) as old, WheelArchive.open(out) as new:
        assert list(old.members) == list(new.members)
        for name in old.members:
            same = b"".join(old.raw(name)) == b"".join(new.raw(name))
            assert same == (name not in (f"{INFO}/METADATA", f"{INFO}/RECORD")), name
        assert new.members["gmpy2/tool.sh"].is_executable
        assert new.read(f"{INFO}/METADATA").endswith(b"\n\nA test.\n")


def test_same_edit_gives_same_bytes(tmp_path: Path, wheel: Path) -> None:
    changes = WheelEdits(requires_add=("a", "b"), put={"gmpy2/new.py": b"y = 2\n"}, build="7")
    assert edit(wheel, tmp_path / "a", changes).read_bytes() == edit(wheel, tmp_path / "b", changes).read_bytes()


def test_empty_edit_of_a_farm_wheel_is_the_same_wheel(tmp_path: Path, wheel: Path) -> None:
    assert edit(wheel, tmp_path / "out", WheelEdits()).read_bytes() == wheel.read_bytes()


def test_tag_and_build_change_file_name_and_wheel_file(tmp_path: Path, wheel: Path) -> None:
    out = edit(wheel, tmp_path, WheelEdits(tag="cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", build="2"))
    assert out.name == "gmpy2-2.2.1-2-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    record.verify(out)
    with WheelArchive.open(out) as archive:
        text = archive.read(f"{INFO}/WHEEL").decode()
    assert text.count("Tag: ") == 2
    assert (
        "Tag: cp311-abi3-manylinux_2_17_x86_64\nTag: cp311-abi3-manylinux2014_x86_64\n" in text
        or text.count("abi3") == 2
    )
    assert "Build: 2\n" in text
    back = edit(out, tmp_path / "back", WheelEdits(tag="cp311-cp311-linux_x86_64", build=""))
    assert back.name == NAME
    assert back.read_bytes() == wheel.read_bytes()


def test_members_are_added_replaced_and_removed(tmp_path: Path, wheel: Path) -> None:
    changes = WheelEdits(
        put={
            "gmpy2/__init__.py": b"x = 2\n",
            "gmpy2/tool.sh": b"#!/bin/sh\necho changed\n",
            "gmpy2/run": b"#!/bin/sh\n",
            "gmpy2/\u00fc.txt": b"umlaut",
        },
        executable=frozenset({"gmpy2/run"}),
        remove=frozenset({"gmpy2/lib/data.bin"}),
    )
    out = edit(wheel, tmp_path / "out", changes)
    record.verify(out)
    with WheelArchive.open(out) as archive:
        assert archive.read("gmpy2/__init__.py") == b"x = 2\n"
        assert archive.read("gmpy2/\u00fc.txt") == b"umlaut"
        assert "gmpy2/lib/data.bin" not in archive.members
        assert [n for n, m in archive.members.items() if m.is_executable] == ["gmpy2/run", "gmpy2/tool.sh"]


def test_pip_installs_an_edited_wheel_and_sees_the_new_requirement(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "some_thing-1.0-py3-none-any.whl")
    edit(wheel, tmp_path, WheelEdits(requires_add=("other-thing>=10!2,<11!0",)))  # in place
    make_wheel(tmp_path, "other_thing-10!2.5-py3-none-any.whl")
    run([sys.executable, "-m", "pip", "install", "--no-index", "-q", "--find-links", tmp_path, "--target",
         tmp_path / "site", "some-thing"], env=dict(os.environ))  # fmt: skip
    assert (tmp_path / "site" / "other_thing" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (WheelEdits(remove=frozenset({"gmpy2/nothing"})), "no member"),
        (WheelEdits(put={"../evil": b""}), "safe relative path"),
        (WheelEdits(put={"/etc/evil": b""}), "safe relative path"),
        (WheelEdits(put={f"{INFO}/METADATA": b""}), "headers, tag and build only"),
        (WheelEdits(put={"other-1.dist-info/x": b""}), "second .dist-info"),
        (WheelEdits(headers={"Version": ("3",)}), "cannot be set"),
        (WheelEdits(headers={"Summary": ("a\nName: evil",)}), "line break"),
        (WheelEdits(requires_add=("not a requirement !",)), "not a requirement"),
        (WheelEdits(requires_remove=frozenset({"scipy"})), "does not require scipy"),
        (WheelEdits(tag="py3-none"), "python-abi-platform"),
        (WheelEdits(build="x"), "file name"),
    ],
)
def test_wrong_edits_are_refused_and_leave_nothing(
    tmp_path: Path, wheel: Path, changes: WheelEdits, message: str
) -> None:
    with pytest.raises(BinaryFormatError, match=message):
        edit(wheel, tmp_path / "out", changes)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_signatures_of_the_old_record_are_dropped(tmp_path: Path, wheel: Path) -> None:
    from test_wheel_hostile import rezip

    signed = rezip(wheel, tmp_path / "signed", add={f"{INFO}/RECORD.jws": b"{}"})
    record.verify(signed)
    out = edit(signed, tmp_path / "out", WheelEdits(requires_add=("a",)))
    with WheelArchive.open(out) as archive:
        assert f"{INFO}/RECORD.jws" not in archive.members
