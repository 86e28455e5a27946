"""After a cascade that rebound a dependent: `farm build` knows that nothing is to be built. Really built wheels."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import small_farm
from small_farm import PLATFORM, TAG, TINY, add_release

from farm.store.remote import layout
from farm.store.standing import stand_in

pytestmark = pytest.mark.slow

PYTINY = f"pytiny@0.5/{PLATFORM}/{TAG}"
BUILT = f"pytiny-0.5-{TAG}-{TAG}-{PLATFORM}.whl"
WITHOUT_VERSION = {
    "tiny.c": '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\n',
    "tiny.h": "int tiny_add(int, int);\n",
}
Farm = Callable[..., str]


def runner(catalog: Path, home: Path) -> Farm:
    def farm(*words: str) -> str:
        done = small_farm.farm(catalog, *words, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return farm


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny 2.0 lacks a symbol that pytiny never imports: pytiny was rebound, tested, and is offered. `first` is the
    home of the machine that did it, `common` the store that it shares."""
    place = tmp_path_factory.mktemp("rebound")
    catalog = small_farm.make(place / "catalog")
    (place / "common").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_STORE", str(place / "common"))
        farm = runner(catalog, place / "first")
        farm("build")
        farm("abi", "accept", "tiny@1.0")
        release(catalog, "2.0", 2, WITHOUT_VERSION)
        farm("abi", "accept", "tiny@2.0")
        farm("cascade", "start", "--bump", "tiny=2.0")
        (document,) = json.loads(farm("cascade", "advance", "--json"))
        assert document["tasks"] == {"build": {"done": 1}, "rebind": {"done": 1}, "test": {"done": 2}}
        farm("cascade", "promote", "1")
    return place


@pytest.fixture
def place(promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change."""
    shutil.copytree(promoted, tmp_path / "farm", symlinks=True)
    monkeypatch.setenv("FARM_STORE", str(tmp_path / "farm/common"))
    return tmp_path / "farm"


def release(catalog: Path, version: str, epoch: int, files: dict[str, str]) -> None:
    """Upstream makes a release that begins an ABI epoch."""
    add_release(catalog, version, files)
    recipe = catalog / "recipes/tiny/recipe.toml"
    line = f'version = "{version}"\n'
    recipe.write_text(recipe.read_text().replace(line, f"{line}abi_epoch = {epoch}\n"))
    smoke = "#include <tiny.h>\nint main(void) { return tiny_add(2, 3) != 5; }\n"
    (catalog / "recipes/tiny/smoke.c").write_text(smoke)


def offered(home: Path) -> list[str]:
    """The files of pytiny that the channel offers."""
    page = json.loads((home / "index/staging/simple/pytiny/index.json").read_text())
    return sorted(file["filename"] for file in page["files"] if not file.get("yanked"))


def states(farm: Farm) -> dict[str, tuple[str, bool]]:
    rows = json.loads(farm("plan", "--all", "--json"))["steps"]
    return {row["recipe"]: (row["state"], row["rebound"]) for row in rows}


def test_there_is_nothing_to_do_and_the_farm_says_why(place: Path) -> None:
    farm = runner(place / "catalog", place / "first")
    said = "nothing to do: 2 steps are up to date\nrebound, not built: " + PYTINY
    assert said in farm("plan")
    before = (place / "first/index/staging").readlink()
    assert said in farm("build")
    assert (place / "first/index/staging").readlink() == before, "the channel offers that already"
    assert said in farm("build"), "at once, from the snapshot"
    assert states(farm) == {"tiny": ("cached", False), "pytiny": ("cached", True)}
    why = farm("why", "pytiny")
    assert f"{PYTINY}: up to date, rebound, not built; compared with" in why
    assert f"is {BUILT} with other references\n    libtiny-nf01.so -> libtiny-nf02.so\n" in why
    assert "by cascade 1: tiny moves from 1.0 to 2.0, another ABI epoch, and it imports nothing that changed" in why
    rows = {row["recipe"]: row for row in json.loads(farm("status", "--json"))["steps"]}
    assert (rows["pytiny"]["state"], rows["pytiny"]["rebound"]) == ("built", True)
    assert rows["pytiny"]["verdicts"]["smoke"]["outcome"] == "passed"
    assert "built (rebound)" in farm("status")
    assert "it was rebound, not built" in farm("reproduce", "pytiny")


def test_it_outlives_garbage_collection(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_CACHE", str(place / "cache"))  # others are at work with this user's
    farm = runner(place / "catalog", place / "first")
    farm("gc", "--keep-days", "0")
    farm("gc", "--shared", "--keep-days", "0", "--grace-hours", "1")
    (key,) = (row["key"] for row in json.loads(farm("plan", "--all", "--json"))["steps"] if row["rebound"])
    assert layout.record(stand_in(key)) not in json.loads((place / "common" / layout.MARKS).read_text())
    assert "nothing to do" in farm("build")


def test_another_machine_takes_it_from_the_shared_store(place: Path) -> None:
    farm = runner(place / "catalog", place / "second")
    assert "nothing to do" in farm("plan")
    assert "nothing to do" in farm("build")
    (name,) = offered(place / "second")
    assert name.startswith("pytiny-0.5-0r01."), "and offers it"
    python = small_farm.install(place / "env", place / "second/index/staging/simple", "pytiny")
    code = "import native_tiny, pytiny; print(native_tiny.__version__, pytiny.add(2, 3))"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout == "2!2.0 5\n"
    assert "passed" in farm("test", "pytiny")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("recipes/pytiny/recipe.toml", 'system = "pep517"', 'system = "pep517"\ncflags = ["-g0"]'),
        ("recipes/tiny/recipe.toml", 'version = "2.0"\n', 'version = "2.0"\nrevision = 1\n'),
        (f"toolchains/{PLATFORM}.toml", '"-O2"', '"-O3"'),
    ],
)
def test_whatever_changes_an_input_builds(place: Path, file: str, old: str, new: str) -> None:
    changed = place / "catalog" / file
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new, 1))
    assert states(runner(place / "catalog", place / "first"))["pytiny"] == ("build", False)


def test_a_build_that_somebody_wants_takes_its_place(place: Path) -> None:
    farm = runner(place / "catalog", place / "first")
    rebound, built = offered(place / "first")
    assert rebound.startswith("pytiny-0.5-0r01.")
    assert built == BUILT
    assert "1 built, 1 up to date" in farm("build", "pytiny", "--no-rebound")
    assert offered(place / "first") == [BUILT], "installers would prefer the other one by its build tag"
    assert farm("plan") == "nothing to do: 2 steps are up to date\n"
    assert states(farm)["pytiny"] == ("cached", False)
    assert "rebound" not in farm("why", "pytiny")
    assert "yes" in farm("reproduce", "pytiny")
    assert "nothing to do" in runner(place / "catalog", place / "second")("build")
    assert offered(place / "second") == [BUILT], "and it is what the key means for all"


def test_the_next_epoch_is_rebound_from_it(place: Path) -> None:
    farm = runner(place / "catalog", place / "first")
    more = {"tiny.c": TINY["tiny.c"].replace("1.0", "3.0"), "tiny.h": TINY["tiny.h"] + "int tiny_sub(int, int);\n"}
    more["tiny.c"] += "int tiny_sub(int a, int b) { return a - b; }\n"
    release(place / "catalog", "3.0", 3, more)
    farm("abi", "accept", "tiny@3.0")
    farm("cascade", "start", "--bump", "tiny=3.0")
    (document,) = json.loads(farm("cascade", "advance", "--json"))
    assert document["tasks"] == {"build": {"done": 1}, "rebind": {"done": 1}, "test": {"done": 2}}
    farm("cascade", "promote", "2")
    assert "nothing to do" in farm("build")
    assert "libtiny-nf02.so -> libtiny-nf03.so" in farm("why", "pytiny")
    assert any(name.startswith("pytiny-0.5-0r02.") for name in offered(place / "first"))


def test_a_release_that_it_is_reached_by_is_built(place: Path) -> None:
    """tiny 3.0 changes what pytiny imports."""
    farm = runner(place / "catalog", place / "first")
    files = {"tiny.c": '#include "tiny.h"\nlong tiny_add(int a, long b) { return a + b; }\n'}
    release(place / "catalog", "3.0", 3, {**files, "tiny.h": "long tiny_add(int, long);\n"})
    farm("abi", "accept", "tiny@3.0")
    farm("cascade", "start", "--bump", "tiny=3.0")
    (document,) = json.loads(farm("cascade", "advance", "--json"))
    assert document["tasks"] == {"build": {"done": 2}, "rebind": {}, "test": {"done": 2}}
    assert states(farm)["pytiny"] == ("cached", False)
