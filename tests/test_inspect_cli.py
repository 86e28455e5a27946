"""`farm inspect` shows binaries of the three formats, and wheels that hold them, in one form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wheel_fixtures as wf
from test_binary_macho import dylib, fat
from test_binary_pe import dll
from zig_fixtures import MACOS, WINDOWS

from farm import cli
from farm.errors import BinaryFormatError

SHOWN: dict[str, Callable[[], bytes]] = {
    "t.so": wf.library,
    "t-nf1.dll": lambda: dll(WINDOWS[0]),
    "libt-nf1.dylib": lambda: dylib(MACOS[1]),
}


@pytest.fixture
def empty_catalog(tmp_path: Path) -> Path:
    (tmp_path / "catalog").mkdir()
    return tmp_path / "catalog"


def inspect(catalog: Path, *words: str | Path) -> int:
    return cli.run(["--catalog", str(catalog), "inspect", *map(str, words)])


def rows(text: str) -> dict[str, str]:
    return {title: value.strip() for title, _, value in (line.strip().partition(":") for line in text.splitlines()[1:])}


def test_the_three_formats_have_one_form(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forms = []
    for name, make in SHOWN.items():
        (tmp_path / name).write_bytes(make())
        assert inspect(empty_catalog, tmp_path / name, "--json") == 0
        (binary,) = json.loads(capsys.readouterr().out)["binaries"]
        forms.append({key: type(value) for key, value in binary.items()})
        assert (binary["file"], binary["bits"]) == (name, 64)
    assert forms[0] == forms[1] == forms[2]


def test_a_dll(tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.dll").write_bytes(dll(WINDOWS[2]))
    assert inspect(empty_catalog, tmp_path / "t.dll") == 0
    text = capsys.readouterr().out
    assert text.startswith("t.dll  (pe, aarch64)")
    shown = rows(text)
    assert shown["soname"] == "t-nf1.dll"
    assert shown["needed"] == "other-nf2.dll"
    assert shown["hardening"] == "high-entropy-va, aslr, nx"
    assert shown["exports"] == "4"
    assert shown["imports"] == "2 from other-nf2.dll"
    assert "signature" not in shown


def test_a_dylib_with_good_stale_and_no_signature(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dylib(MACOS[1])
    stale = data.replace(b"@rpath/libt-nf1.dylib", b"@rpath/libu-nf1.dylib", 1)
    for content, said in ((data, "valid"), (stale, "the code signature is stale: 1 of"), (dylib(MACOS[0]), "none")):
        (tmp_path / "t.dylib").write_bytes(content)
        assert inspect(empty_catalog, tmp_path / "t.dylib") == 0
        assert rows(capsys.readouterr().out)["signature"].startswith(said)


def test_slices_of_a_fat_file_that_differ(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = dylib(MACOS[1], name="libt-nf2.dylib")
    (tmp_path / "t.dylib").write_bytes(fat(dylib(MACOS[0]), other))
    assert inspect(empty_catalog, tmp_path / "t.dylib") == 0
    text = capsys.readouterr().out
    assert text.startswith("t.dylib  (macho, universal2)")
    assert rows(text)["slices differ"] == "the slices for x86_64 and arm64 differ in install name"


@pytest.mark.parametrize(
    ("platform", "member", "target"),
    [("win_amd64", "t/t.pyd", WINDOWS[0]), ("win32", "t/t.pyd", WINDOWS[1]), ("macosx_11_0_arm64", "t/t.so", MACOS[1])],
)
def test_wheels_of_other_platforms(
    platform: str,
    member: str,
    target: str,
    tmp_path: Path,
    empty_catalog: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = dll(target) if member.endswith(".pyd") else dylib(target)
    wheel = wf.make_wheel(tmp_path, {member: content}, filename=f"t-1.0-cp311-cp311-{platform}.whl", requires=())
    assert inspect(empty_catalog, wheel, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [binary["file"] for binary in answer["binaries"]] == [member]
    assert answer["faults"] == []
    assert inspect(empty_catalog, wheel) == 0
    assert member in capsys.readouterr().out


def test_a_damaged_binary_says_what_is_wrong(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.dll").write_bytes(dll(WINDOWS[0])[:1000])
    assert inspect(empty_catalog, tmp_path / "t.dll") == BinaryFormatError.exit_code
    assert "t.dll: is cut short or lies" in capsys.readouterr().err
