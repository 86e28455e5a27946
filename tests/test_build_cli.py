"""`farm fetch`, `farm shell` and `farm doctor`, as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from build_factory import ROOT, settings, step, tiny, toolchain

from farm.build.library import build_library
from farm.build.staging import native_spec
from farm.errors import BuildError
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.settings import Settings
from farm.wheel.native import stage_native
from farm.wheel.pack import pack

STEP = "tiny@1.0/manylinux_2_17_x86_64"


def farm(home: Path, *words: str, catalog: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FARM_HOME": str(home), "FARM_CATALOG": str(catalog)}
    return subprocess.run([sys.executable, "-m", "farm.cli", *words], env=env, capture_output=True, text=True)


def publish(at: Settings) -> None:
    recipe, chain = tiny(at.home / "recipe", products=PRODUCTS), toolchain()
    with build_library(step(recipe), recipe, chain, {}, at, at.logs / "x.log", lambda _phase: None) as built:
        staged = stage_native(native_spec(step(recipe), recipe, chain, built, {}), at.home / "tree")
        wheel = pack(staged.tree, staged.filename, at.home, epoch_seconds=built.epoch_seconds)
    Index(at.index).publish("staging", [IndexFile(path=wheel)])


PRODUCTS = {"library": [{"name": "tiny", "archive": "lib/libtiny.a", "exports": ["tiny_*"]}], "headers": ["tiny.h"]}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_fetched_prefix_serves_plain_c(tmp_path: Path) -> None:
    publish(settings(tmp_path / "home"))
    done = farm(tmp_path / "home", "fetch", "tiny", "--prefix", str(tmp_path / "first"))
    assert done.returncode == 0, done.stderr
    assert "native-tiny 1!1.0" in done.stdout
    (tmp_path / "first").rename(tmp_path / "moved")
    (tmp_path / "a.c").write_text('#include "tiny.h"\nint main(void) { return tiny_next(41); }\n')
    pc = {**os.environ, "PKG_CONFIG_PATH": str(tmp_path / "moved/lib/pkgconfig")}
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "tiny"], env=pc, capture_output=True, text=True, check=True
    )
    rpath = f"-Wl,-rpath,{tmp_path}/moved/lib"
    subprocess.run(["gcc", tmp_path / "a.c", "-o", tmp_path / "a", *flags.stdout.split(), rpath], check=True)
    assert subprocess.run([tmp_path / "a"]).returncode == 42
    assert not list((tmp_path / "moved").rglob("*.py"))


def test_what_is_not_offered_is_not_fetched(tmp_path: Path) -> None:
    done = farm(tmp_path, "fetch", "tiny", "--prefix", str(tmp_path / "p"))
    assert done.returncode == 2
    assert "holds no native wheel" in done.stderr
    assert "farm build tiny" in done.stderr
    assert not (tmp_path / "p").exists()


def test_the_command_of_an_error_message_repeats_the_failure(tmp_path: Path) -> None:
    at = settings(tmp_path)
    recipe = tiny(tmp_path / "recipe", tree={"tiny.c": "int x = nothing;\n", "Makefile": "libtiny.a: tiny.o\n"})
    with pytest.raises(BuildError) as caught:
        build_library(step(recipe), recipe, toolchain(), {}, at, at.logs / "x.log", lambda _phase: None)
    (line,) = [text.partition("repeat: farm ")[2] for text in caught.value.fix.splitlines() if "repeat:" in text]
    env = {**os.environ, "FARM_HOME": str(tmp_path), "FARM_CATALOG": str(ROOT)}
    again = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m farm.cli {line}"], env=env, capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "undeclared identifier 'nothing'" in again.stdout + again.stderr
    inside = farm(tmp_path, "shell", "tiny", "-c", "id -u; pwd; test -e /root || echo walls")
    assert inside.stdout.split() == ["1000", "/farm/src", "walls"]


def test_the_shell_holds_the_workspace(tmp_path: Path) -> None:
    at = settings(tmp_path)
    recipe = tiny(tmp_path / "recipe", tree={"tiny.c": "int x = nothing;\n", "Makefile": "libtiny.a: tiny.o\n"})

    def build() -> None:
        build_library(step(recipe), recipe, toolchain(), {}, at, at.logs / "x.log", lambda _phase: None)

    with pytest.raises(BuildError, match="make failed"):
        build()
    env = {**os.environ, "FARM_HOME": str(tmp_path), "FARM_CATALOG": str(ROOT)}
    argv = [sys.executable, "-m", "farm.cli", "shell", STEP, "-c", "echo ready; cat"]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        with pytest.raises(BuildError, match="in use by another farm"):
            build()
        shell.stdin.close()
    with pytest.raises(BuildError, match="make failed"):
        build()


def test_doctor_says_what_is_there_and_what_installs_the_rest(tmp_path: Path) -> None:
    done = farm(tmp_path, "doctor", "--json")
    told = json.loads(done.stdout)
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert states["make"] == "ok"
    assert told["ok"] is (done.returncode == 0)
    assert all(check["fix"] for check in told["checks"] if check["state"] == "missing")


def test_doctor_on_a_bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from farm.build import checkup, sandbox, tools

    monkeypatch.setattr(tools, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setattr(sandbox, "BWRAP", "no-such-bwrap")
    checks = {check.name: check for check in checkup.examine(settings(tmp_path))}
    assert checks["make"].state is checkup.State.MISSING
    assert checks["make"].fix == "apt-get install make"
    assert "bubblewrap" in checks["sandbox"].fix
    assert checks["f2c"].state is checkup.State.OPTIONAL


def test_doctor_tries_to_write(tmp_path: Path) -> None:
    from farm.build import checkup

    home = Path("/proc/self/farm")  # nobody can write there, not even root
    checks = {check.name: check for check in checkup.examine(replace(settings(tmp_path), home=home))}
    assert checks["room for FARM_HOME"].state is checkup.State.MISSING
    assert "FARM_HOME=DIR" in checks["room for FARM_HOME"].fix
    assert checks["room for the cache"].state is not checkup.State.MISSING
