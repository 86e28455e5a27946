"""Real upgrades of real libraries, rolled out as cascades: built, tested by the projects' own suites, promoted, rolled
back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import small_farm
from small_farm import PLATFORM

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A library moves from one release to another under `above` (beside `below`, which it needs). `user` is what people
    install; what becomes of its wheel beside being tested is `verb`, and a pattern says `why`."""

    recipe: str
    older: str
    newer: str
    user: str
    above: frozenset[str]
    below: frozenset[str] = frozenset()
    verdict: str = "compatible"
    verb: str = ""
    why: str = ""


UPGRADES = (
    Upgrade(
        recipe="libjpeg-turbo",
        older="2.1.5",
        newer="3.1.3",
        user="pillow",
        above=frozenset({"pillow"}),
        below=frozenset({"zlib"}),
    ),
    Upgrade(
        recipe="gmp",
        older="6.2.1",
        newer="6.3.0",
        user="gmpy2",
        above=frozenset({"mpfr", "mpc", "gmpy2"}),
        verb="build",
        why=r"it could not be built before: no release of gmp was gmp>=6\.3",
    ),
    Upgrade(
        recipe="mpfr",
        older="4.2.0",
        newer="4.2.2",
        user="gmpy2",
        above=frozenset({"mpc", "gmpy2"}),
        below=frozenset({"gmp"}),
        verb="build",
        why=r"it could not be built before: no release of mpfr was mpfr>=4\.2\.1",
    ),
    Upgrade(
        recipe="openblas",
        older="0.3.29",
        newer="0.3.34",
        user="numpy",
        above=frozenset({"numpy"}),
        verdict="breaking",
        verb="rebind",
        why=r"openblas .*, another ABI epoch, and it imports nothing that changed",
    ),
    Upgrade(
        recipe="flint",
        older="3.1.3",
        newer="3.6.0",
        user="python-flint",
        above=frozenset({"python-flint"}),
        below=frozenset({"gmp", "mpfr"}),
        verdict="breaking",
        verb="build",
        why=r"imports .*; in flint 3\.6\.0 .*",
    ),
)


def catalog(place: Path, upgrade: Upgrade, *options: str) -> Path:
    """The project's catalog with an older release, and nothing that the test does not need."""
    command = [sys.executable, "-m", "benchmarks.older", "--baseline", *options, str(place), upgrade.recipe]
    subprocess.run(command, check=True, cwd=small_farm.ROOT)
    for recipe in (place / "recipes").iterdir():
        if recipe.name not in {upgrade.recipe, *upgrade.above, *upgrade.below}:
            shutil.rmtree(recipe)
    return place


@pytest.mark.parametrize("upgrade", UPGRADES, ids=lambda upgrade: upgrade.recipe)
def test_a_release_builds_itself_and_tests_what_runs_with_it(upgrade: Upgrade, tmp_path: Path) -> None:
    home = tmp_path / "home"

    def farm(at: Path, *words: str) -> str:
        done = small_farm.farm(at, *words, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    before = catalog(tmp_path / "before", upgrade, "--before")
    farm(before, "build", upgrade.user)
    assert offered(home, upgrade) == upgrade.older
    after = catalog(tmp_path / "after", upgrade)

    farm(after, "cascade", "start", "--bump", f"{upgrade.recipe}={upgrade.newer}", "--suite", "upstream")
    (document,) = json.loads(farm(after, "cascade", "advance", "--json"))
    assert document["state"] == "staged"
    move = f"{upgrade.recipe}@{upgrade.older} -> {upgrade.recipe}@{upgrade.newer}"
    assert document["verdicts"] == {move: upgrade.verdict}
    assert [name.partition("-")[0].replace("_", "-") for name in document["checks"]["imported"]] == [upgrade.user]
    shown = json.loads(farm(after, "cascade", "show", "1", "--all", "--json"))["shown"]
    assert {task["state"] for task in shown} == {"done"}
    why = {tuple(task["id"].partition("@")[0].split()): task["why"] for task in shown}
    tested = {("test", name) for name in (upgrade.recipe, *upgrade.above)}
    made = {("build", upgrade.recipe), *([(upgrade.verb, upgrade.user)] if upgrade.verb else [])}
    assert why.keys() == made | tested, "and nothing else"
    if upgrade.verb:
        assert re.fullmatch(upgrade.why, why[upgrade.verb, upgrade.user])
    assert f"{upgrade.recipe}@{upgrade.newer}/{PLATFORM}" in {task["step"] for task in shown}
    assert offered(home, upgrade) == upgrade.older, "nothing is offered before it is promoted"
    farm(after, "cascade", "promote", "1")
    assert offered(home, upgrade) == upgrade.newer
    farm(after, "cascade", "rollback", "1")
    assert offered(home, upgrade) == upgrade.older
    assert "nothing to do" in farm(after, "plan")


def offered(home: Path, upgrade: Upgrade) -> str:
    """The release of the library that pip takes when somebody installs what uses it."""
    index = (home / "index/staging/simple").as_uri()
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--ignore-installed", "--no-input"]
    asked = [*command, "--index-url", index, upgrade.user]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(rf"native-{upgrade.recipe}-\d+!(\S+)", said.partition("Would install")[2])
    return str(found)
