"""Retired releases: nothing is built against them, and their ABIs are still there to be compared with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_farm
from catalog_builder import PLATFORM, catalog, dependent, library, write_recipe
from reworks import releases

from farm import cli
from farm.build.planning import make_plan
from farm.catalog import load_from, loader
from farm.plan.effective import merged

OLD, MIDDLE, NEW = releases("6.1", "6.2", "6.3")
ABOVE = (library("mpfr", host=["gmp>=6"]), dependent("d", host=["gmp", "mpfr"]))


def keys(root: Path) -> dict[str, str]:
    return {step.id: step.key for step in make_plan(load_from(root), platforms=(PLATFORM,)).steps}


def farm(root: Path, *words: str) -> int:
    return cli.run(["--catalog", str(root), "--home", str(root / ".farm"), *words])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return catalog(tmp_path / "c", library("gmp", release=[NEW], retired=[OLD, MIDDLE]), *ABOVE)


def test_they_change_no_key(tmp_path: Path, root: Path) -> None:
    without = catalog(tmp_path / "without", library("gmp", release=[NEW]), *ABOVE)
    offered = catalog(tmp_path / "offered", library("gmp", release=[MIDDLE, NEW]), *ABOVE)
    assert keys(root) == keys(without) != keys(offered)


def test_they_are_not_built(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert farm(root, "build", "gmp@6.2") == 2
    assert "gmp 6.2 is retired: nothing is built against it, and it is not offered" in capsys.readouterr().err
    assert farm(root, "cascade", "start", "--bump", "gmp=6.3") == 2
    assert "retired releases count for `farm plan --bump` alone" in capsys.readouterr().err
    assert farm(root, "recipe", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["gmp"]["versions"], rows["gmp"]["retired"]) == (["6.3"], ["6.1", "6.2"])


def test_what_the_upgrade_from_them_needed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert farm(root, "plan", "--bump", "gmp=6.3", "--platform", PLATFORM) == 0
    out = capsys.readouterr().out
    assert out.startswith("gmp 6.2 is retired: this is what 6.3 needed while it was not\n")
    assert "it runs with gmp 6.3, was 6.2" in out
    assert "1 to build, 0 to rebind" in out
    assert farm(root, "plan", "--bump", "gmp=6.4", "--platform", PLATFORM) == 0
    assert "is retired" not in capsys.readouterr().out, "6.3 is before it"
    assert farm(root, "plan", "--bump", "gmp=6.1") == 2
    assert "(it has 6.3, retired 6.1, retired 6.2)" in capsys.readouterr().err
    assert farm(root, "plan", "--bump", "gmp=6.1", "--platform", PLATFORM) == 2
    assert "has no release before 6.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (library("gmp", release=[MIDDLE], retired=[NEW]), "release #1] version: '6.2' stands after a newer one"),
        (library("gmp", release=[NEW], retired=[NEW]), "'6.3' is there twice"),
        (library("gmp", release=[NEW], retired=[{**OLD, "abi_epoch": 9}]), "below 9 of 6.1"),
        (library("gmp", release=[NEW], retired=[{**OLD, "patches": ["no.patch"]}]), "retired #1] patches"),
        (dependent("gmp", release=[NEW], retired=[OLD]), "does not belong to a dependent"),
    ],
)
def test_faults(tmp_path: Path, recipe: dict[str, Any], said: str) -> None:
    _, faults = loader.examine(catalog(tmp_path / "c", recipe))
    assert any(said in str(fault) for fault in faults), [str(fault) for fault in faults]


def test_rows_of_older_releases(tmp_path: Path) -> None:
    """A release may lack what newer ones export, and be built elsewhere."""
    row = {"release": "<6.3", "in_tree": True, "lacks": {"gmp": ["gmp_new"]}}
    base = library("gmp", release=[NEW], retired=[OLD], when=[row])
    base["products"]["library"][0]["exports"] = ["gmp_*", "gmp_new"]
    recipe = load_from(catalog(tmp_path / "c", base)).recipes["gmp"].recipe
    old, new = (merged(recipe, release, PLATFORM) for release in recipe.history)
    assert (old.products.library[0].exports, new.products.library[0].exports) == (("gmp_*",), ("gmp_*", "gmp_new"))
    assert (old.build.in_tree, new.build.in_tree) == (True, False)
    for lacks, said in (({"gnp": ["gmp_new"]}, "is no library of this recipe"), ({"gmp": ["x"]}, "is not among the")):
        write_recipe(tmp_path / "c", {**base, "when": [{**row, "lacks": lacks}]})
        assert any(said in str(fault) for fault in loader.examine(tmp_path / "c")[1])


@pytest.mark.skipif(shutil.which("abidw") is None, reason="needs abidw: apt-get install abigail-tools")
def test_their_abi_is_measured_and_pinned(tmp_path: Path) -> None:
    made = small_farm.make(tmp_path / "catalog")
    small_farm.add_release(
        made,
        "1.1",
        {
            "tiny.h": "int tiny_add(int, int);\nint tiny_more(void);\n",
            "tiny.c": '#include "tiny.h"\nint tiny_add(int a, int b) { return a + b; }\n'
            "int tiny_more(void) { return 1; }\n",
        },
    )
    file = made / "recipes/tiny/recipe.toml"
    first, _, second = file.read_text().partition("[[release]]")
    file.write_text(first + "[[retired]]" + second.replace("[[release.", "[[retired.", 2))
    assert small_farm.farm(made, "recipe", "lint").returncode == 0
    unknown = small_farm.farm(made, "abi", "diff", "tiny@1.0", "tiny@1.2")
    assert unknown.returncode == 2
    assert "its releases are 1.1, retired 1.0" in unknown.stderr
    assert "for its ABI" not in unknown.stderr, "said before anything is built"
    done = small_farm.farm(made, "abi", "diff", "tiny@1.0", "tiny@1.1", "--json")
    assert done.returncode == 0, done.stderr
    changes = {change["subject"]: change["text"] for change in json.loads(done.stdout)["changes"]}
    assert changes["tiny_more"] == "is new"
    assert changes["tiny_version"] == "is gone"
    assert small_farm.farm(made, "abi", "accept", "tiny@1.0").returncode == 0
    assert (made / f"recipes/tiny/abi/1.0/{small_farm.PLATFORM}.abi").is_file()
    broken = small_farm.farm(made, "build", "tiny", "--no-publish")
    assert broken.returncode != 0
    assert "tiny_version" in broken.stderr, "a retired release's pin holds the next one as any other does"
