"""A real upgrade of a real library, rolled out as a cascade: libjpeg-turbo 2.1.5 to 3.1.3, under Pillow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_farm
from small_farm import PLATFORM, TAG

pytestmark = pytest.mark.slow

RECIPES = {"libjpeg-turbo", "zlib", "pillow"}
NATIVE = f"libjpeg-turbo@3.1.3/{PLATFORM}"


def catalog(place: Path, *options: str) -> Path:
    """The project's catalog with an older libjpeg-turbo, and nothing that the test does not need."""
    command = [sys.executable, "-m", "benchmarks.older", *options, str(place), "libjpeg-turbo"]
    subprocess.run(command, check=True, cwd=small_farm.ROOT)
    for recipe in (place / "recipes").iterdir():
        if recipe.name not in RECIPES:
            shutil.rmtree(recipe)
    return place


def test_a_new_libjpeg_turbo_builds_itself_and_tests_pillow(tmp_path: Path) -> None:
    home = tmp_path / "home"

    def farm(at: Path, *words: str) -> str:
        done = small_farm.farm(at, *words, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    before = catalog(tmp_path / "before", "--before")
    farm(before, "build", "pillow")
    assert offered(home) == "2.1.5"
    after = catalog(tmp_path / "after")
    farm(after, "abi", "accept", "libjpeg-turbo@2.1.5")

    farm(after, "cascade", "start", "--bump", "libjpeg-turbo=3.1.3")
    (document,) = json.loads(farm(after, "cascade", "advance", "--json"))
    assert document["state"] == "staged"
    assert document["verdicts"] == {"libjpeg-turbo@2.1.5 -> libjpeg-turbo@3.1.3": "compatible"}
    assert document["tasks"] == {"build": {"done": 1}, "rebind": {}, "test": {"done": 2}}
    assert document["checks"]["imported"] == [f"pillow-13.0.0-{TAG}-{TAG}-{PLATFORM}.whl"]
    shown = json.loads(farm(after, "cascade", "show", "1", "--all", "--json"))["shown"]
    assert {task["id"] for task in shown} == {
        f"build {NATIVE}",
        f"test {NATIVE}",
        f"test pillow@13.0.0/{PLATFORM}/{TAG}",
    }
    assert offered(home) == "2.1.5", "nothing is offered before it is promoted"
    farm(after, "cascade", "promote", "1")
    assert offered(home) == "3.1.3"
    farm(after, "cascade", "rollback", "1")
    assert offered(home) == "2.1.5"
    assert "nothing to do" in farm(after, "plan")


def offered(home: Path) -> str:
    """The release of libjpeg-turbo that pip takes when Pillow is asked for."""
    index = (home / "index/staging/simple").as_uri()
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--ignore-installed", "--no-input"]
    said = subprocess.run([*command, "--index-url", index, "pillow"], capture_output=True, text=True, check=True).stdout
    return said.split("native-libjpeg-turbo-62!")[1].split()[0]
