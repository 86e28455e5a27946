"""`farm plan --bump`: what a release needs, from the catalog, stored wheels, pinned ABIs and recorded durations."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cascades
import native_factory
import pytest
import small_farm
import toy
from catalog_builder import PLATFORM, catalog, dependent, library, write_recipe
from reworks import abi, releases

from farm import cli
from farm.abi import baseline, surface
from farm.binary import formats
from farm.bump import catalogs, facts
from farm.bump.imports import SUFFIX, imports_of
from farm.cascade.advance import Advance
from farm.catalog import load_from
from farm.model.abi import Abi, Verdict
from farm.model.plan import Plan, Step
from farm.model.rework import Verb
from farm.plan import reach
from farm.plan.moves import Move
from farm.plan.reach import Imports
from farm.settings import load
from farm.store.artifacts import Store
from farm.store.home import prepare
from farm.store.ledger import Ledger
from farm.store.standing import stand_in

OTHER = "manylinux_2_17_i686"
ARM = "manylinux_2_17_aarch64"
OWN = "tiny_level"
TAG = toy.PYTHON
D = f"d@1.0/{PLATFORM}/{TAG}"
THREE = releases("6.2", "6.3", "7.0", epochs={"7.0": 2})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    recipes = (
        library("gmp", release=THREE),
        library("mpfr", host=["gmp"]),
        dependent("d", host=["gmp"]),
        library("zlib"),
    )
    return catalog(tmp_path / "c", *recipes)


def farm(root: Path, *words: str) -> int:
    return cli.run(["--catalog", str(root), "--home", str(root / ".farm"), "plan", *words])


def outcomes(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert farm(root, "--json", *(word for bump in words for word in ("--bump", bump))) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["outcomes"]
    return found


def done(outcome: dict[str, Any]) -> dict[str, str]:
    """``d build`` -> why."""
    return {f"{task['step'].partition('@')[0]} {task['verb']}": task["why"] for task in outcome["tasks"]}


def pin(root: Path, *abis: Abi) -> None:
    for one in abis:
        place = baseline.path_of(root / "recipes" / one.recipe, one)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(baseline.content(one))


def stored_wheel(root: Path, work: Path) -> None:
    """d's wheel, as it was built against gmp 6.2: it calls `gmp_add`."""
    shared = toy.compile_c(
        "int gmp_add(void) { return 1; }",
        work / "lib/libgmp-nf01.so",
        "-Wl,-soname,libgmp-nf01.so",
    )
    tree = work / "tree"
    toy.compile_c("int gmp_add(void); int f(void) { return gmp_add(); }", tree / "d/core.so", str(shared))
    wheel = toy.make_wheel(tree, f"d-1.0-{TAG}-{TAG}-{PLATFORM}.whl", work)
    prepare(root / ".farm")
    Store(root / ".farm/store").put(step_before(root, "d").key, wheel)


def plans(root: Path, *bumps: str) -> tuple[Plan, Plan]:
    from farm.cli import wanted

    loaded = load_from(root)
    parsed = [catalogs.parse_bump(text, loaded) for text in bumps]
    platforms = sorted(loaded.toolchains)
    return catalogs.plans(
        loaded, parsed, lambda values, recipes: wanted.make_plan(values, recipes=recipes, platforms=platforms)
    )


def step_on(root: Path, release: str, platform: str) -> Step:
    before, _ = plans(root, "gmp=7.0")
    return next(step for step in before.steps if step.id == f"{release}/{platform}")


def step_before(root: Path, recipe: str) -> Step:
    before, _ = plans(root, "gmp=7.0")
    return next(step for step in before.steps if step.recipe == recipe)


def test_a_compatible_release_needs_one_build_and_tests(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = outcomes(root, capsys, "gmp=6.3")
    assert sorted(done(found)) == ["d test", "gmp build", "gmp test", "mpfr test"]
    assert found["untouched"] == 2
    assert found["abi_unknown"] == ["gmp@6.2 -> gmp@6.3"]
    everything = {f"gmp@6.3/{PLATFORM}", f"mpfr@1.0/{PLATFORM}", D}
    assert set(found["rules"]["every input"]["steps"]) == everything
    assert not (root / ".farm/ledger.sqlite").exists(), "asking changes nothing"


def test_a_compatible_release_is_compared_with_no_other_than_the_one_before(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, new = {"gmp_add": ["int"]}, {"gmp_new": ["int"]}
    pin(root, abi("gmp", "6.3", {**kept, **new}))
    (found,) = outcomes(root, capsys, "gmp=6.3")
    assert (found["verdicts"], found["abi_unknown"]) == ({}, ["gmp@6.2 -> gmp@6.3"]), "6.3 is not its own past"
    pin(root, abi("gmp", "6.2", kept))
    (found,) = outcomes(root, capsys, "gmp=6.3")
    assert found["verdicts"] == {"gmp@6.2 -> gmp@6.3": "compatible"}
    assert [change["subject"] for change in found["abi_changes"]["gmp@6.2 -> gmp@6.3"]] == ["gmp_new"]


def test_two_bumps_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(root, library("zlib", "1.0", "1.1"))
    (found,) = outcomes(root, capsys, "gmp=6.3", "zlib=1.1")
    assert {"gmp build", "zlib build"} <= set(done(found))
    assert farm(root, "--bump", "gmp=6.3", "--bump", "gmp=7.0") == 2
    assert "gmp is named twice" in capsys.readouterr().err


def test_a_break_rebinds_a_wheel_by_what_it_imports(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_wheel(root, tmp_path / "work")
    kept, gone = {"gmp_add": ["int"]}, {"gmp_old": ["int"]}
    pin(root, abi("gmp", "6.3", {**kept, **gone}), abi("gmp", "7.0", kept))
    (found,) = outcomes(root, capsys, "gmp=7.0")
    assert (
        done(found)["d rebind"] == "gmp moves from 6.2 to 7.0, another ABI epoch, and it imports nothing that changed"
    )
    assert found["verdicts"] == {"gmp@6.2 -> gmp@7.0": "breaking", "gmp@6.3 -> gmp@7.0": "breaking"}
    assert [change["subject"] for change in found["abi_changes"]["gmp@6.3 -> gmp@7.0"]] == ["gmp_old"]
    assert farm(root, "--bump", "gmp=7.0") == 0
    said = capsys.readouterr().out
    assert f"rebind {D}" in said
    assert "ABI of gmp@6.3 -> gmp@7.0: breaking\n  gmp_old is gone" in said

    pin(root, abi("gmp", "7.0", gone))
    (found,) = outcomes(root, capsys, "gmp=7.0")
    assert done(found)["d build"] == "imports gmp_add; in gmp 7.0 gmp_add is gone"


def test_what_a_wheel_imports_is_read_once_and_not_believed_when_damaged(root: Path, tmp_path: Path) -> None:
    stored_wheel(root, tmp_path / "work")
    store, folder = Store(root / ".farm/store"), root / ".farm/abi"
    wheel = store.get(step_before(root, "d").key)
    assert wheel is not None
    first = imports_of(wheel, store, folder, {"gmp": "gmp"})
    assert first is not None
    assert first.needs == {"gmp"}
    assert first.of("gmp") >= {"gmp_add"}
    (kept,) = folder.glob(f"{wheel.key}*.{SUFFIX}")
    for damage in ("", "{", "[]", '{"wheel": 1}', kept.read_text().replace("gmp_add", "other")):
        kept.write_text(damage)
        again = imports_of(wheel, store, folder, {"gmp": "gmp"})
        assert again is not None
        assert again == first or "other" in again.free, damage
    kept.write_text(kept.read_text().replace(wheel.sha256, "0" * 64))
    assert imports_of(wheel, store, folder, {"gmp": "gmp"}) == first, "it is of another wheel"
    facts_of = json.loads(kept.read_text())
    kept.write_text(json.dumps(facts_of | {"bound": {"gmp": ["#12"]}}))
    assert imports_of(wheel, store, folder, {"gmp": "gmp"}) is None, "which symbol a number is, nobody knows"
    kept.write_text(json.dumps(facts_of | {"bound": {"gmp": ["gmp_sub"], "z": ["crc32"]}, "free": []}))
    bound = imports_of(wheel, store, folder, {"gmp": "gmp", "z": "zlib"})
    assert bound is not None
    assert (bound.of("gmp"), bound.of("zlib")) == (frozenset({"gmp_sub"}), frozenset({"crc32"}))
    store.path(wheel).write_bytes(b"PK" + b"x" * (wheel.size - 2))
    kept.unlink()
    assert imports_of(wheel, store, folder, {"gmp": "gmp"}) is None


def test_a_wheel_that_was_rebound_stands_for_the_one_before_it(root: Path, tmp_path: Path) -> None:
    stored_wheel(root, tmp_path / "work")
    store, before = Store(root / ".farm/store"), step_before(root, "d")
    wheel = store.get(before.key)
    assert wheel is not None
    (root / f".farm/store/keys/{before.key[:2]}/{before.key}.json").unlink()
    settings = load(catalog=root, home=root / ".farm")
    found = facts.gather(*plans(root, "gmp=7.0"), load_from(root), settings)
    assert before.key not in found.imports
    store.put(stand_in(before.key), store.path(wheel))
    found = facts.gather(*plans(root, "gmp=7.0"), load_from(root), settings)
    assert before.key in found.imports


def test_how_long_it_took_before_is_what_is_expected(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(root / ".farm")
    graph: dict[tuple[str, Verb], list[tuple[str, Verb]]] = {("gmp", Verb.BUILD): [], ("mpfr", Verb.TEST): []}
    with Ledger.open(root / ".farm/ledger.sqlite") as ledger:
        cascade = ledger.create_cascade(cascades.draft(graph))
        Advance(cascade, ledger=ledger, hands=cascades.FakeHands()).to_the_end()
        assert ledger.task_durations() == {(Verb.TEST, f"mpfr/{PLATFORM}"): 2.0}
    (found,) = outcomes(root, capsys, "gmp=6.3")
    seconds = {task["id"]: task["seconds"] for task in found["tasks"]}
    assert (seconds[f"test mpfr@1.0/{PLATFORM}"], seconds[f"test {D}"]) == (2.0, None)
    assert (found["seconds"], found["without_history"]) == (2.0, 3)


def test_without_the_wheel_or_the_abi_everything_that_moves_is_built(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = outcomes(root, capsys, "gmp=7.0")
    assert "what its wheel imports is not known" in done(found)["d build"]
    stored_wheel(root, tmp_path / "work")
    (found,) = outcomes(root, capsys, "gmp=7.0")
    assert done(found)["d build"] == "what changed from gmp 6.2 to 7.0 is not known"


def test_types_that_a_platform_does_not_tell_are_those_of_another(tmp_path: Path) -> None:
    root = catalog(tmp_path, library("gmp", release=THREE), dependent("d", host=["gmp"]), platforms=(PLATFORM, OTHER))
    takes = {"gmp_add": ["struct mpz *"]}
    move = Move(recipe="gmp", older="6.3", newer="7.0", platform=OTHER)

    def difference() -> Any:
        settings = load(catalog=root, home=root / ".farm")
        found = facts.gather(*plans(root, "gmp=7.0"), load_from(root), settings)
        return found.differences.get(move)

    def exports(release: str, **more: Any) -> Abi:
        return abi("gmp", release, {**takes, **more}, platform=OTHER, typed=False)

    pin(root, abi("gmp", "6.3", takes, {"struct mpz": 16}), abi("gmp", "7.0", takes, {"struct mpz": 24}))
    assert difference() is None, "its own exports are not known"
    pin(root, exports("6.3", gmp_here=["int"]), exports("7.0"))
    found = difference()
    assert found.untyped == ()
    breaks = {change.subject for change in found.changes if change.verdict is Verdict.BREAKING}
    assert breaks == {"gmp_here", "struct mpz"}, "what is gone here, and the types of the other"


@pytest.mark.parametrize(
    ("platform", "known_on", "reached"),
    [
        ("win_amd64", (PLATFORM, OTHER), "gmp_wide"),
        ("win_amd64", (PLATFORM,), "could not be compared"),
        ("win_amd64", (OTHER,), "could not be compared"),
        ("win32", (OTHER,), "gmp_wide"),
        ("win32", (PLATFORM,), "could not be compared"),
        ("macosx_11_0_arm64", (PLATFORM,), ""),
    ],
)
def test_types_are_those_of_platforms_that_show_every_change(
    tmp_path: Path, platform: str, known_on: tuple[str, ...], reached: str
) -> None:
    """A `long` became an `int64_t`: on Linux of 64 bits that is the same, on Windows and on 32 bits it is not."""
    root = catalog(tmp_path, library("gmp", release=THREE), dependent("d", host=["gmp"]), platforms=(PLATFORM, OTHER))
    shutil.copytree(small_farm.ROOT / "toolchains/sysroots", root / "toolchains/sysroots")
    shutil.copy(small_farm.ROOT / f"toolchains/{platform}.toml", root / "toolchains")
    tool = load_from(root).toolchains[platform]
    classes = {PLATFORM: "elf64", OTHER: "elf32"}
    wide = {PLATFORM: "long int", OTHER: "long long int"}
    for known in known_on:
        for release, type_ in (("6.3", "long int"), ("7.0", wide[known])):
            found = abi("gmp", release, {"gmp_wide": [type_], "gmp_add": []}, platform=known)
            pin(root, replace(found, abi_class=classes[known]))
    own = surface.class_for(tool.binary, tool.bits)
    for release in ("6.3", "7.0"):
        found = abi("gmp", release, {"gmp_wide": [], "gmp_add": []}, platform=platform, typed=False)
        pin(root, replace(found, abi_class=own))
    move = Move(recipe="gmp", older="6.3", newer="7.0", platform=platform)
    found_out = facts.gather(*plans(root, "gmp=7.0"), load_from(root), load(catalog=root, home=root / ".farm"))
    imports = Imports(needs=frozenset({"gmp"}), free=frozenset({"gmp_wide"}))
    why = reach.reached(move, imports, {}, found_out)
    assert reached in why
    assert bool(why) == bool(reached)


@pytest.mark.parametrize(
    ("stored", "said"), [(True, "imports tiny_level, of which no type"), (False, "could not be compared")]
)
def test_what_only_this_platform_exports_is_not_known_from_another(tmp_path: Path, stored: bool, said: str) -> None:
    """Code for one processor: the pins of another one do not have it, so they do not say that it changed."""
    root = catalog(
        tmp_path / "c", library("gmp", release=THREE), dependent("d", host=["gmp"]), platforms=(PLATFORM, ARM)
    )
    for release in ("6.2", "7.0"):
        pin(root, abi("gmp", release, {"gmp_add": ["int"]}, platform=ARM))
    if stored:
        native = native_factory.tiny_gmp(tmp_path / "native", "6.2", epoch=1)
        prepare(root / ".farm")
        Store(root / ".farm/store").put(step_on(root, "gmp@6.2", PLATFORM).key, native.wheel)
    move = Move(recipe="gmp", older="6.2", newer="7.0", platform=PLATFORM)
    known = facts.gather(*plans(root, "gmp=7.0"), load_from(root), load(catalog=root, home=root / ".farm"))

    def why(*symbols: str) -> str:
        return reach.reached(move, Imports(needs=frozenset({"gmp"}), free=frozenset(symbols)), {}, known)

    assert said in why(OWN)
    assert bool(why("gmp_add")) == (not stored)


def test_a_program_takes_the_data_of_which_it_has_a_copy(tmp_path: Path) -> None:
    """The linker gives a program its own copy of a library's data, so that nothing of it is undefined there."""
    shared = toy.compile_c("int gmp_table[4] = {1};", tmp_path / "lib/libgmp-nf01.so", "-Wl,-soname,libgmp-nf01.so")
    tree = tmp_path / "tree"
    source = "extern int gmp_table[4]; int main(void) { return gmp_table[0]; }"
    (tree / "d").mkdir(parents=True)
    (tmp_path / "main.c").write_text(source)
    command = ["gcc", "-fPIE", "-pie", "-o", str(tree / "d/program"), str(tmp_path / "main.c"), str(shared)]
    subprocess.run(command, check=True, timeout=60)
    linkage = formats.read_file(tree / "d/program")
    assert linkage is not None
    assert "gmp_table" not in {symbol.name for symbol in linkage.imports}, "what this test is about"
    wheel = toy.make_wheel(tree, f"d-1.0-{TAG}-{TAG}-{PLATFORM}.whl", tmp_path)
    settings = load(catalog=tmp_path, home=tmp_path / "home")
    prepare(settings.home)
    store = Store(settings.store)
    found = imports_of(store.put("ab" * 32, wheel), store, tmp_path / "kept", {"gmp": "gmp"})
    assert found is not None
    assert "gmp_table" in found.of("gmp")


@pytest.mark.parametrize(
    ("source", "python", "found"),
    [
        ('void *dlsym(void *, const char *); void *f(void) { return dlsym(0, "gmp_named"); }', "", True),
        ('const char *f(void) { return "gmp_named"; }', "", False),
        ("int f(void) { return 1; }", "import ctypes\nctypes.CDLL(None).gmp_named(1)\n", True),
        ("int f(void) { return 1; }", "# like gmp_named\n", False),
    ],
)
def test_what_a_wheel_looks_up_by_name_when_it_runs(tmp_path: Path, source: str, python: str, found: bool) -> None:
    tree = tmp_path / "tree"
    toy.compile_c(source, tree / "d/core.so")
    (tree / "d/__init__.py").write_text(python)
    wheel = toy.make_wheel(tree, f"d-1.0-{TAG}-{TAG}-{PLATFORM}.whl", tmp_path)
    settings = load(catalog=tmp_path, home=tmp_path / "home")
    prepare(settings.home)
    store = Store(settings.store)
    taken = imports_of(store.put("ab" * 32, wheel), store, tmp_path / "kept", {"gmp": "gmp"})
    assert taken is not None
    assert ("gmp_named" in taken.of("gmp")) == found


def test_a_release_that_nobody_has_yet(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeps, breaks = outcomes(root, capsys, "gmp=7.1")
    assert (keeps["condition"], breaks["condition"]) == ("if it keeps the ABI", "if it breaks the ABI")
    assert sorted(done(keeps)) == ["d test", "gmp build", "gmp test", "mpfr test"]
    assert {"d build", "mpfr build"} <= set(done(breaks))
    assert farm(root, "--bump", "gmp=7.1") == 0
    assert "neither its sources nor its ABI are known" in capsys.readouterr().out
    (only,) = outcomes(root, capsys, "d=1.1")
    assert sorted(done(only)) == ["d build", "d test"], "nothing links to a dependent"
    assert only["condition"] == "", "and so there are no two answers"


def test_only_what_the_bump_makes_impossible_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(root, dependent("other", requires={"pythons": ">=3.99"}))
    assert farm(root) == 0
    assert "impossible: other" in capsys.readouterr().out
    assert farm(root, "--bump", "gmp=6.3") == 0
    assert "impossible" not in capsys.readouterr().out


def test_a_break_that_cannot_be_planned_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(root, dependent("d", host=["gmp<7.1", "mpfr"]))
    _, breaks = outcomes(root, capsys, "gmp=7.1")
    assert "d is built against gmp 7.0 (ABI epoch 2), but mpfr, which it requires, against gmp 7.1" in breaks["error"]
    assert farm(root, "--bump", "gmp=7.1") == 0
    assert "if it breaks the ABI: it cannot be planned: " in capsys.readouterr().out


def test_what_requires_the_new_release_is_new_with_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(root, library("mpfr", host=["gmp>=6.3"]))
    write_recipe(root, dependent("d", host=["mpfr"]))
    (found,) = outcomes(root, capsys, "gmp=6.3")
    assert done(found)["mpfr build"] == "it could not be built before: no release of gmp was gmp>=6.3"
    assert done(found)["d build"] == "it could not be built before: neither could mpfr"


def test_what_it_needs_beside_the_new_release_was_there_before(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(root, dependent("d", host=["gmp>=6.3", "mpfr"]))
    assert farm(root, "d", "--bump", "gmp=6.3", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["outcomes"]
    assert set(done(found)) == {"gmp build", "gmp test", "mpfr test", "d build", "d test"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--bump", "gmp"), "'gmp' is not NAME=VERSION"),
        (("--bump", "gpm=1"), "there is no recipe 'gpm'"),
        (("--bump", "gmp=new"), "'new' is not a PEP 440 version"),
        (("--bump", "gmp=6.2"), "gmp has no release before 6.2, so nothing says what changes (it has 6.2, 6.3, 7.0)"),
        (("--bump", "gmp=6.5"), "gmp has no release 6.5, and it is older than its newest"),
        (("--bump", "gmp=6.3", "--all"), "shows what is up to date"),
    ],
)
def test_bumps_that_cannot_be(
    root: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert farm(root, *words) == 2
    assert said in capsys.readouterr().err
