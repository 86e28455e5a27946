"""`farm repair` as a user and as cibuildwheel call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import toy

from farm import cli
from farm.gates.judge import verdict
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.repair.platforms import LOWEST
from farm.wheel.names import parse
from farm.wheel.platforms import platform_tag


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> toy.Native:
    return toy.toy(tmp_path_factory.mktemp("natives"))


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory, base: toy.Native) -> Path:
    return toy.dependent(tmp_path_factory.mktemp("raw"), "toy_mul(6, 7)", *toy.linked(base))


def farm(*words: str | Path, home: Path) -> int:
    return cli.run(["--home", str(home), *map(str, words)])


def test_json_says_what_was_done(
    tmp_path: Path, raw: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("repair", raw, "-w", tmp_path / "out", "--native", base.wheel.parent, "--json")
    assert farm(*words, home=tmp_path) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["requires"] == ["native-toy>=1!1.1,<2!0"]
    assert row["platform"] == "manylinux_2_17_x86_64"
    assert Path(row["wheel"]).is_file()
    assert row["changed"] is True


def test_second_repair_says_that_nothing_changes(
    tmp_path: Path, raw: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    farm("repair", raw, "-w", tmp_path / "a", "--native", base.wheel, home=tmp_path)
    (once,) = (tmp_path / "a").glob("*.whl")
    assert farm("repair", once, "-w", tmp_path / "b", "--native", base.wheel, home=tmp_path) == 0
    assert "nothing to change" in capsys.readouterr().out


def test_natives_of_the_staging_channel(tmp_path: Path, raw: Path, base: toy.Native) -> None:
    """No --native and none installed beside the farm: what the farm built last."""
    Index(tmp_path / "index").publish("staging", [IndexFile(path=base.wheel)])
    assert farm("repair", raw, "-w", tmp_path / "out", home=tmp_path) == 0
    assert list((tmp_path / "out").glob("*manylinux_2_17*.whl"))


def test_yanked_natives_of_the_channel_are_not_used(
    tmp_path: Path, raw: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Index(tmp_path / "index")
    index.publish("staging", [IndexFile(path=base.wheel)])
    index.yank("staging", [base.wheel.name], "loses digits")
    assert farm("repair", raw, "-w", tmp_path / "out", home=tmp_path) == 7
    assert base.shared_name in capsys.readouterr().err


@pytest.mark.parametrize("alias", ["manylinux2014", "manylinux2010", "manylinux1"])
def test_old_names_of_platforms_are_checked(
    alias: str, tmp_path: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    """arc4random came with glibc 2.36."""
    new = toy.dependent(tmp_path / "new", "(int) arc4random()")
    words = ("repair", new, "-w", tmp_path / "out", "--native", base.wheel, "--platform", f"{alias}_x86_64")
    assert farm(*words, home=tmp_path) == 7
    assert f"cannot be tagged for {alias}_x86_64" in capsys.readouterr().err


def test_a_platform_that_never_was_is_refused(
    tmp_path: Path, raw: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("repair", raw, "-w", tmp_path / "out", "--native", base.wheel, "--platform", "manylinux_2_4_x86_64")
    assert farm(*words, home=tmp_path) == 7
    assert "no manylinux policy is so low" in capsys.readouterr().err


@pytest.mark.parametrize("expression", ["(int) getpid()", "(int) arc4random()"])
def test_computed_tags_are_what_auditwheel_grants(expression: str, tmp_path: Path, base: toy.Native) -> None:
    """The farm computes tags from its own reading of the binaries; auditwheel is the judge that installers follow."""
    made = toy.dependent(tmp_path / "raw", expression)
    assert farm("repair", made, "-w", tmp_path / "out", "--native", base.wheel, home=tmp_path) == 0
    (wheel,) = (tmp_path / "out").glob("*.whl")
    judged = verdict(made, libc="glibc", arch="x86_64", exclude=())
    ours, theirs = platform_tag(parse(wheel.name).platform), platform_tag(judged.tag)
    assert theirs.floor is not None
    assert (ours.family, ours.floor, ours.arch) == ("glibc", max(theirs.floor, LOWEST), theirs.arch)


def test_natives_installed_beside_the_farm(tmp_path: Path, raw: Path, base: toy.Native) -> None:
    """As in cibuildwheel: `pip install native-toy` into the environment that runs the command."""
    site = tmp_path / "site"
    toy.environment(tmp_path / "v").pip("--target", site, base.wheel)
    done = subprocess.run(
        [sys.executable, "-m", "farm.cli", "--home", tmp_path, "repair", raw, "-w", tmp_path / "out"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "needs native-toy>=1!1.1,<2!0" in done.stdout


def test_faults_have_their_exit_codes(
    tmp_path: Path, raw: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert farm("repair", tmp_path / "no-1.0-py3-none-any.whl", "-w", out, home=tmp_path) == 2
    assert farm("repair", raw, "-w", out, "--native", tmp_path / "none", home=tmp_path) == 2
    assert farm("repair", raw, "-w", out, "--native", tmp_path, home=tmp_path) == 7  # its library is unknown then
    broken = tmp_path / raw.name
    broken.write_bytes(raw.read_bytes()[:-30])
    assert farm("repair", broken, "-w", out, "--native", base.wheel, home=tmp_path) == 8
    assert not out.exists()
    assert "fix:" in capsys.readouterr().err


def test_program_outside_of_the_site_directory_is_an_error(
    tmp_path: Path, base: toy.Native, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "tree"
    scripts = tree / "prog-1.0.data" / "scripts"
    toy.compile_c(
        "int toy_add(int, int); int main(void) { return toy_add(0, 0); }", scripts / "prog", *toy.linked(base)
    )
    wheel = toy.make_wheel(tree, f"prog-1.0-{toy.PYTHON}-{toy.PYTHON}-linux_x86_64.whl", tmp_path / "raw")
    assert farm("repair", wheel, "-w", tmp_path / "out", "--native", base.wheel, home=tmp_path) == 7
    assert "outside of the site directory" in capsys.readouterr().err
