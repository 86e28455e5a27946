"""`farm audit` and `farm inspect` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wheel_fixtures as wf

from farm import cli
from farm.errors import GateError
from farm.process import run


@pytest.fixture
def empty_catalog(tmp_path: Path) -> Path:
    (tmp_path / "catalog").mkdir()
    return tmp_path / "catalog"


def farm(catalog: Path, *words: str | Path) -> int:
    return cli.run(["--catalog", str(catalog), *map(str, words)])


def test_sound_wheels_pass_and_see_each_other(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    native, dependent = wf.make_native(tmp_path), wf.make_wheel(tmp_path, wf.dependent_files())
    assert farm(empty_catalog, "audit", native, dependent) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{native.name}: ok (held to {wf.PLATFORM})",
        f"{dependent.name}: ok (held to {wf.PLATFORM})",
    ]


def test_errors_give_the_gates_exit_code_and_json_tells_all(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    native = wf.make_native(tmp_path)
    dependent = wf.make_wheel(tmp_path, wf.dependent_files() | {"dep/a.pyc": b""}, requires=())
    assert farm(empty_catalog, "audit", dependent, "--native", native.parent, "--json") == GateError.exit_code
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    (wheel,) = answer["wheels"]
    assert {(f["check"], f["severity"]) for f in wheel["findings"]} == {
        ("requires-dist", "error"),
        ("leftovers", "warning"),
    }
    assert farm(empty_catalog, "audit", dependent, "--native", native) == GateError.exit_code
    text = capsys.readouterr().out
    assert "1 error, 1 warning" in text
    assert "fix: let `farm repair` compute Requires-Dist" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.whl"], 2, "there is no file nowhere.whl"),
        (["{wheel}", "--platform", "solaris_2_11_x86_64"], 2, "no audit policy for the platform 'solaris_2_11_x86_64'"),
        (["{wheel}", "--recipe", "nothing"], 2, "there is no recipe 'nothing'"),
        (["{wheel}", "--native", "{wheel}"], 2, "is not a native wheel"),
    ],
)
def test_questions_that_make_no_sense(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    wheel = wf.make_wheel(tmp_path, wf.dependent_files())
    other = tmp_path / "b" / wheel.name
    other.parent.mkdir()
    other.write_bytes(wheel.read_bytes())
    given = [word.replace("{wheel}", str(wheel if not at else other)) for at, word in enumerate(words)]
    assert farm(empty_catalog, "audit", *given) == code
    assert message in capsys.readouterr().err


def test_another_platform_can_be_asked_for(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    native = wf.make_native(tmp_path)
    assert farm(empty_catalog, "audit", native, "--platform", "manylinux_2_5_x86_64") == 0
    assert farm(empty_catalog, "audit", native, "--platform", "musllinux_1_2_x86_64") == GateError.exit_code
    assert "needs libc.so.6" in capsys.readouterr().out


def test_inspect_a_binary(tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.so").write_bytes(wf.extension())
    assert farm(empty_catalog, "inspect", tmp_path / "x.so") == 0
    lines = dict(line.strip().split(":", 1) for line in capsys.readouterr().out.splitlines()[1:])
    assert lines["needed"].strip() == "libt-nf01.so, libc.so.6"
    assert lines["runpath"].strip() == "$ORIGIN/../native_t/lib"
    assert "the interpreter" in lines["imports"]


def test_inspect_a_wheel(tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert farm(empty_catalog, "inspect", wf.make_native(tmp_path), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["native"]["distribution"] == "native-t"
    assert answer["metadata"]["License-Expression"] == ["MIT"]
    by_file = {binary["file"]: binary for binary in answer["binaries"]}
    assert set(by_file) == {wf.LIBRARY, wf.VARIANT, wf.ANCHOR}
    assert by_file[wf.LIBRARY]["soname"] == "libt-nf01.so"
    assert "t_function_3" in by_file[wf.LIBRARY]["exports"]
    assert by_file[wf.ANCHOR]["needed"] == ["libt-nf01.so"]


def test_inspect_what_is_no_binary(tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.txt").write_text("text")
    assert farm(empty_catalog, "inspect", tmp_path / "t.txt") == 8
    assert "is neither a binary nor a wheel" in capsys.readouterr().err


@pytest.mark.slow
def test_a_wheel_that_vendors_its_libraries_is_fine_alone_and_a_copy_beside_ours(
    tmp_path: Path, empty_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """gmpy2 as PyPI has it carries GMP, MPFR and MPC."""
    words = ("pip", "download", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11", "gmpy2==2.3.2")
    run(["python3", "-m", *words, "--platform", "manylinux_2_17_x86_64", "-d", str(tmp_path)], timeout=300)
    (wheel,) = tmp_path.glob("gmpy2-*.whl")
    assert farm(empty_catalog, "audit", wheel) == 0
    assert "__gmpn_mul_1_zen uses BMI2" in capsys.readouterr().out
    manifest = wf.manifest(
        library=[
            {
                "link_name": "gmp",
                "shared_name": "libt-nf01.so",
                "path": "lib/libt-nf01.so",
                "replaces": ["libgmp.so.10"],
            }
        ]
    )
    native = wf.make_native(tmp_path, **manifest)
    farm(empty_catalog, "audit", wheel, "--native", native)
    assert (
        "gmpy2.libs/libgmp-a6f47472.so.10.5.0\n           is the wheel's own copy of a library"
        in capsys.readouterr().out
    )
