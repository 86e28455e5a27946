"""`farm why`, `logs`, `status` and `gc` on a small farm whose wheels are made by the test."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import catalog_builder as builder
import pytest

from farm import cli, settings
from farm.cli.history import make_plan
from farm.cli.running import recorder
from farm.errors import BuildError
from farm.model.artifact import Artifact
from farm.model.finding import Finding, Severity
from farm.model.outcome import Outcome
from farm.model.plan import Step
from farm.pipeline import refuse
from farm.process import Cancel
from farm.store.artifacts import Store
from farm.store.home import prepare
from farm.store.ledger import Ledger
from farm.workers.local import run_plan
from farm.workers.step import Reporter

P = builder.PLATFORM


class Farm:
    """A catalog, a home, and the command line over them."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.settings = settings.load(catalog=root, home=root / ".farm", environ={"FARM_CACHE": str(root / "cache")})
        self.capsys = capsys
        prepare(self.settings.home)
        builder.catalog(root, builder.library("gmp"), builder.library("mpfr", host=["gmp"]))
        self.write(builder.dependent("gmpy2", host=["mpfr"]))

    def write(self, recipe: Mapping[str, Any]) -> None:
        """Write a recipe with the files that the catalog wants beside it."""
        builder.write_recipe(self.root, recipe)

    def build(self, hook: Callable[[Step, Reporter], None] = lambda step, report: None) -> None:
        store = Store(self.settings.store)

        def step(step: Step, deps: Mapping[str, Artifact], cancel: Cancel, report: Reporter) -> Artifact:
            report("make")
            (self.settings.logs / f"{step.key}.log").write_text(f"building {step.id}\nline 2\nline 3\n")
            hook(step, report)
            wheel = self.root / f"{step.recipe}-{step.version}-py3-none-any.whl"
            wheel.write_bytes(step.key.encode())
            return store.put(step.key, wheel)

        plan = make_plan(self.settings)
        run_plan(plan, step, store=store, ledger=lambda: Ledger.open(self.settings.ledger), jobs=1)

    def __call__(self, *argv: str, code: int = 0) -> str:
        self.capsys.readouterr()
        found = cli.run(["--catalog", str(self.root), "--home", str(self.settings.home), *argv])
        out, err = self.capsys.readouterr()
        assert found == code, out + err
        return out + err if code else out


@pytest.fixture
def farm(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Farm:
    monkeypatch.setenv("FARM_CACHE", str(tmp_path / "cache"))  # `farm gc` looks into it, too
    return Farm(tmp_path, capsys)


def test_before_anything_was_built(farm: Farm) -> None:
    assert "gmp@1.0/manylinux_2_17_x86_64: never built here" in farm("why", "gmp")
    assert "never" in farm("status")
    assert "nothing was ever built here" in farm("logs", "gmp", code=9)
    assert farm("gc") == "nothing to remove\n"
    assert not (farm.settings.home / "ledger.sqlite").exists(), "looking back creates nothing"


def test_why_follows_a_change_to_its_first_cause(farm: Farm) -> None:
    farm.build()
    assert "up to date, built 2" in farm("why", "gmpy2")
    farm.write(builder.library("gmp", build={"system": "autotools", "args": ["--disable-shared", "--enable-fat"]}))
    text = farm("why", "gmpy2")
    assert "must be built; compared with gmpy2@1.0/" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "- requires gmp: gmp 1.0 itself is built anew, because" in lines
    assert "- build.args: added --enable-fat" in lines
    answer = json.loads(farm("why", f"gmp/{P}", "--json"))
    assert [a["because"]["changes"] for a in answer] == [["build.args: added --enable-fat"]]
    farm.build()
    assert "up to date" in farm("why", "gmp")
    assert "- build.args: added --enable-fat" in farm("why", "gmp")


def test_why_says_how_the_last_try_failed(farm: Farm) -> None:
    def fail(step: Step, report: Reporter) -> None:
        if step.recipe == "mpfr":
            raise BuildError("make failed\nwith many lines", where=step.id)

    farm.build(fail)
    text = farm("why", "mpfr")
    assert "never built here" in text
    assert "failed in make" in text
    assert "many lines" not in text
    assert f"farm logs mpfr@1.0/{P}" in text


def test_unknown_steps_are_answered_with_near_names(farm: Farm) -> None:
    assert "gmpy2@1.0" in farm("why", "gmpy"), "the beginning of a name is enough"
    assert "did you mean mpfr" in farm("why", "mpfrr", code=2)


def test_logs_by_any_name(farm: Farm) -> None:
    farm.build()
    key = next(s.key for s in make_plan(farm.settings).steps if s.recipe == "mpfr")
    for name in ("mpfr", f"mpfr@1.0/{P}", f"mpfr/{P}", "mpf", key[:10]):
        assert farm("logs", name).startswith(f"building mpfr@1.0/{P}\n")
    assert farm("logs", "mpfr", "--tail", "1") == "line 3\n"
    assert farm("logs", "mpfr", "--path").strip() == str(farm.settings.logs / f"{key}.log")
    (farm.settings.logs / f"{key}.log").unlink()
    assert "is gone" in farm("logs", "mpfr", code=9)
    assert "no step '%' was ever tried here" in farm("logs", "%", code=2)


def test_status_shows_states_tests_and_reasons(farm: Farm) -> None:
    def fail(step: Step, report: Reporter) -> None:
        if step.recipe == "mpfr":
            raise BuildError("make: *** Error 1", where=step.id)

    farm.build(fail)
    gmp = make_plan(farm.settings).steps[0]
    with Ledger.open(farm.settings.ledger) as ledger:
        ledger.record_verdict(gmp.key, "smoke", Outcome.PASSED)
        ledger.record_verdict(gmp.key, "upstream", Outcome.NOT_RUN, reason="no suite")
    lines = [line.split() for line in farm("status").splitlines()]
    assert lines[0] == ["recipe", P]
    assert ["gmp", "1.0", "tested"] in lines
    assert ["mpfr", "1.0", "failed"] in lines
    assert any(line[:1] == ["gmpy2"] and line[-1] == "never" for line in lines)
    text = farm("status")
    assert f"mpfr 1.0 for {P}: failed in make: make: *** Error 1" in text
    assert f"gmp 1.0 for {P}: upstream not run: no suite" in text
    markdown = farm("status", "--markdown")
    assert "| gmp 1.0 | tested |" in markdown
    assert f"- gmp 1.0 for {P}: upstream not run: no suite" in markdown
    rows = {row["recipe"]: row for row in json.loads(farm("status", "--json"))["steps"]}
    assert rows["gmp"]["verdicts"]["smoke"] == {"outcome": "passed", "reason": ""}
    assert "Error 1" in rows["mpfr"]["error"]
    with Ledger.open(farm.settings.ledger) as ledger:
        ledger.record_verdict(gmp.key, "audit", Outcome.FAILED, reason="leaks a path")
        lease = ledger.lease(next(s.key for s in make_plan(farm.settings).steps if s.recipe == "gmpy2"))
        text = farm("status")
        assert lease is not None
    assert "tests!" in text
    assert "running" in text


def test_a_refused_wheel_is_explained_by_what_the_audit_found(farm: Farm) -> None:
    """`farm status` says the first error, `farm why` all of them; findings of an older try are not the newest's."""
    leak = Finding(check="paths", severity=Severity.ERROR, file="lib/a.so", fact="holds /home/me", fix="map it")
    old = Finding(check="isa", severity=Severity.WARNING, file="lib/a.so", fact="uses AVX", fix="say so")

    def refuse_mpfr(step: Step, report: Reporter) -> None:
        if step.recipe == "mpfr":
            report("audit")
            recorder(lambda: Ledger.open(farm.settings.ledger))(step, (leak, old))
            refuse(step, (leak, old))

    farm.build(refuse_mpfr)
    text = farm("status")
    assert f"mpfr 1.0 for {P}: audit failed: 1 error: lib/a.so: holds /home/me" in text
    text = farm("why", "mpfr")
    assert "  error: lib/a.so: holds /home/me [paths]\n    fix: map it" in text
    assert "  warning: lib/a.so: uses AVX [isa]" in text
    (answer,) = json.loads(farm("why", "mpfr", "--json"))
    assert [f["check"] for f in answer["findings"]] == ["paths", "isa"]

    def break_mpfr(step: Step, report: Reporter) -> None:
        if step.recipe == "mpfr":
            raise BuildError("make: *** Error 1", where=step.id)

    farm.build(break_mpfr)
    assert "audit" not in farm("status")
    assert "/home/me" not in farm("why", "mpfr")


def test_status_shows_where_a_running_step_is(farm: Farm) -> None:
    """Asked from beside the build, as from another terminal."""
    seen: list[str] = []

    def look(step: Step, report: Reporter) -> None:
        if step.recipe == "gmp":
            seen.append(farm("status"))

    farm.build(look)
    assert f"gmp 1.0 for {P}: running: make" in seen[0]
    assert "running" not in farm("status")


def test_gc_keeps_what_is_wanted_and_frees_the_rest(farm: Farm) -> None:
    farm.build()
    store = Store(farm.settings.store)
    old = {step.recipe: step.key for step in make_plan(farm.settings).steps}
    farm.write(builder.library("gmp", build={"system": "autotools", "args": ["--enable-fat"]}))
    assert farm("gc", "--keep-days", "0") == "nothing to remove\n", "the newest builds stay until there are newer"
    farm.build()
    assert farm("gc") == "nothing to remove\n", "all is young"
    long_ago = time.time() - 30 * 86400
    for log in farm.settings.logs.iterdir():
        os.utime(log, (long_ago, long_ago))
    dry = json.loads(farm("gc", "--keep-days", "0", "--dry-run", "--json"))
    assert all(store.get(key) for key in old.values())
    done = json.loads(farm("gc", "--keep-days", "0", "--json"))
    assert done["freed"] == dry["freed"] == sum(r["size"] for r in done["removed"])
    assert sorted(r["kind"] for r in done["removed"]) == ["artifact"] * 3 + ["log"] * 3
    assert not any(store.get(key) for key in old.values())
    assert all(store.get(step.key) for step in make_plan(farm.settings).steps)
    assert "must be 0 or more" in farm("gc", "--keep-days", "-1", code=2)


@pytest.mark.parametrize("days", ["1e7", "inf"])
def test_for_ever_is_a_number_of_days(farm: Farm, days: str) -> None:
    farm.build()
    assert farm("gc", "--keep-days", days) == "nothing to remove\n"
    assert farm("fleet", "sweep", "--days", days) == "0 jobs forgotten\n"


@pytest.mark.parametrize("place", ["work", "sources", "cache/pythons", "cache/wine", "cache/containers"])
def test_gc_frees_what_is_made_again_and_nobody_uses(farm: Farm, place: str) -> None:
    import fcntl

    work = {"work": farm.settings.work, "sources": farm.settings.sources}.get(place, farm.root / place)
    for name in ("gmp@1.0-x", "mpfr@1.0-x"):
        (work / name / "build").mkdir(parents=True)
        (work / f"{name}.lock").touch()
        os.utime(work / name, (1, 1))
    with (work / "mpfr@1.0-x.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "gmp@1.0-x" in farm("gc")
    assert sorted(p.name for p in work.iterdir()) == ["gmp@1.0-x.lock", "mpfr@1.0-x", "mpfr@1.0-x.lock"]


def test_gc_frees_measured_abis_of_keys_that_nobody_wants(farm: Farm) -> None:
    kept = make_plan(farm.settings).steps[0].key
    farm.settings.abi.mkdir()
    for key in (kept, "0" * 64):
        (farm.settings.abi / f"{key}-1.abi").write_text("abi 1\n")
    assert "0" * 64 in farm("gc", "--keep-days", "0")
    assert [path.name for path in farm.settings.abi.iterdir()] == [f"{kept}-1.abi"]


def test_gc_never_removes_what_a_generation_serves(farm: Farm, tmp_path: Path) -> None:
    from wheel_factory import make_wheel

    from farm.index.contents import IndexFile
    from farm.index.generations import Index

    store = Store(farm.settings.store)
    artifact = store.put("ab" * 32, make_wheel(tmp_path, "gmp-1.0-py3-none-any.whl"))
    Index(farm.settings.index).publish("staging", [IndexFile(path=store.path(artifact), sha256=artifact.sha256)])
    farm("gc", "--keep-days", "0")
    assert store.get("ab" * 32) == artifact
