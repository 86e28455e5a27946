"""`farm plan` as a user sees it, with a real store and ledger; and what changed, in words."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from catalog_builder import PLATFORM, catalog, dependent, library, write_recipe

from farm import cli, process
from farm.catalog import load_from
from farm.model.artifact import Artifact
from farm.model.plan import KeyInput, Plan
from farm.plan import planner
from farm.plan.explain import explain
from farm.plan.values import Wanted
from farm.store.artifacts import Store
from farm.store.home import prepare
from farm.store.ledger import Ledger


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return catalog(tmp_path / "c", library("gmp", "6.2", "6.3"), library("mpfr", host=["gmp"]))


def farm(root: Path, *words: str) -> int:
    return cli.run(["--catalog", str(root), "--home", str(root / ".farm"), *words])


def build(root: Path, plan: Plan) -> list[Artifact]:
    """Pretend that every step was built: artifacts in the store, history in the ledger."""
    home = root / ".farm"
    prepare(home)
    store = Store(home / "store")
    made = []
    with Ledger.open(f"sqlite:///{home / 'ledger.sqlite'}") as ledger:
        ledger.record_plan(plan.steps)
        for step in plan.steps:
            wheel = home / f"{step.recipe}-{step.version}-py3-none-any.whl"
            wheel.write_text(step.key)
            made.append(store.put(step.key, wheel))
        ledger.record_artifacts(made)
    return made


def rows(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    assert farm(root, "plan", "--json", *words) == 0
    return {row["step"]: row for row in json.loads(capsys.readouterr().out)["steps"]}


def test_first_plan_says_what_and_why_and_leaves_no_ledger(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert farm(root, "plan", "mpfr") == 0
    out = capsys.readouterr().out
    assert f"gmp@6.2/{PLATFORM}" in out
    assert "never built here" in out
    assert "3 to build, 0 of 3 up to date" in out
    assert not (root / ".farm/ledger.sqlite").exists()


def test_what_changed_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(root, planner.plan(load_from(root), Wanted()))
    capsys.readouterr()
    write_recipe(root, library("gmp", "6.2", "6.3", build={"system": "autotools", "args": ["--enable-fat"]}))
    found = rows(root, capsys)
    assert found[f"gmp@6.2/{PLATFORM}"]["why"] == ["build.args changed from --disable-shared to --enable-fat"]
    assert found[f"mpfr@1.0/{PLATFORM}"]["why"] == ["requires gmp: gmp 6.2 itself is built anew"]
    assert {row["state"] for row in found.values()} == {"build"}


def test_a_lost_wheel_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = build(root, planner.plan(load_from(root), Wanted()))[0]
    Store(root / ".farm/store").path(lost).unlink()
    found = rows(root, capsys)
    assert [row["why"] for row in found.values() if row["state"] == "build"] == [
        ["its wheel is no longer in the store"]
    ]


def test_impossible_rows_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = catalog(
        tmp_path, library("a", when=[{"platform": ["many*"], "impossible": "no"}]), dependent("b", host=["a"])
    )
    assert farm(root, "plan", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == []
    assert document["impossible"][1] == {
        "recipe": "b",
        "platform": PLATFORM,
        "python": "",
        "reason": "requires a: no",
    }


def test_a_build_with_nothing_to_do_goes_on_saying_what_is_impossible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = catalog(tmp_path, library("a", when=[{"platform": ["many*"], "impossible": "no"}]), library("b"))
    build(root, planner.plan(load_from(root), Wanted()))
    time.sleep(2.1)
    said = []
    for _ in range(2):
        assert farm(root, "build", "--no-publish") == 0
        said.append([line for line in capsys.readouterr().out.splitlines() if not line.startswith("took")])
        monkeypatch.setattr("farm.catalog.load", None)  # the second answer is the remembered one
    assert said[0][-2:] == ["nothing to do: 1 step is up to date", f"impossible: a for {PLATFORM}: no"]
    assert said[1] == said[0][-2:]


def test_a_build_that_has_no_room_does_not_begin(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _place: SimpleNamespace(total=10**12, used=10**12, free=10**8))
    assert farm(root, "build", "gmp") == 9
    assert "only 100 MB are free, 300 MB are needed" in capsys.readouterr().err
    assert not list((root / ".farm").glob("work/*"))


def test_the_shell_finds_steps_as_other_verbs_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = catalog(tmp_path, library("gmp", "6.2", "6.3"), library("mpfr", host=["gmp"], provides=["floats"]))
    key = next(row["key"] for step, row in rows(root, capsys).items() if step.startswith("mpfr"))
    for name in ("mpfr", "floats", "mpf", f"mpfr@1.0/{PLATFORM}", f"mpfr/{PLATFORM}", "mpf?@*", key[:10]):
        assert farm(root, "shell", name) == 2
        assert f"mpfr@1.0/{PLATFORM} is built against gmp@6.2" in capsys.readouterr().err, name
    assert farm(root, "shell", "mpfrr") == 2
    assert "did you mean mpfr" in capsys.readouterr().err


def test_exit_codes(root: Path) -> None:
    assert farm(root, "plan", "nothing") == 2
    (root / "recipes/gmp/recipe.toml").write_text("x")
    assert farm(root, "plan") == 3


def test_the_second_time_nothing_is_read(root: Path) -> None:
    """From the command line as it is installed, until a recipe changes."""

    def run() -> tuple[str, set[str]]:
        code = (
            "import sys; from farm import cli; code = cli.run(['plan']);"
            "print('LOADED', *sorted({n.split('.')[0] for n in sys.modules}), file=sys.stderr); sys.exit(code)"
        )
        done = process.run([sys.executable, "-c", code], cwd=root)
        said, _, loaded = done.output.partition("LOADED")
        return said, set(loaded.split())

    build(root, planner.plan(load_from(root), Wanted()))
    time.sleep(2.1)
    said, loaded = run()
    assert "nothing to do: 3 steps are up to date" in said
    assert "pydantic" in loaded
    said, loaded = run()
    assert "nothing to do: 3 steps are up to date" in said
    assert {"pydantic", "argparse", "packaging", "sqlalchemy", "dataclasses"}.isdisjoint(loaded)
    write_recipe(root, library("mpfr", "2.0", host=["gmp"]))
    said, _ = run()
    assert "1 to build, 2 of 3 up to date" in said


def _inputs(**values: str) -> list[KeyInput]:
    return [KeyInput(label=k.replace("__", " ").replace("_", "."), digest=v, shown=v) for k, v in values.items()]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (_inputs(a="1"), _inputs(a="1"), []),
        (_inputs(build_args="a b"), _inputs(build_args="a c d"), ["build.args: added c d, removed b"]),
        (_inputs(build_args="a b"), _inputs(build_args="b a"), ["build.args: order or repetition changed"]),
        (_inputs(), _inputs(build_env="A=b"), ["build.env was added: A=b"]),
        (_inputs(patch__x="1"), _inputs(), ["patch x was removed: 1"]),
        (_inputs(rules="1"), _inputs(rules="2"), ["rules changed from 1 to 2"]),
        (_inputs(patch__x="1", patch__y="2"), _inputs(patch__y="2", patch__x="1"), ["order changed: patch y, patch x"]),
        (
            [KeyInput(label="requires gmp", digest="1", shown="6.2"), *_inputs(isa="a")],
            [KeyInput(label="requires gmp", digest="2", shown="6.3"), *_inputs(isa="b")],
            ["isa changed from a to b", "requires gmp: built against 6.3, was 6.2"],
        ),
        ([KeyInput(label="x", digest="1")], [KeyInput(label="x", digest="2")], ["x changed"]),
    ],
)
def test_changes_in_words(old: list[KeyInput], new: list[KeyInput], said: list[str]) -> None:
    assert explain(old, new) == said
