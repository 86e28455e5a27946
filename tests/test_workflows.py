"""The workflows and the scripts that they run: nothing of them is only tried on the forge."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import small_farm
from ruamel.yaml import YAML
from small_farm import PLATFORM, ROOT, TAG
from test_admit import STEP, Native, remote_work
from wheel_factory import make_wheel

from farm import cli
from farm.catalog import Catalog
from farm.index.reading import IndexReader
from farm.store.artifacts import Store
from farm.wheel.edit import WheelEdits, edit

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
KEYS = {name: digit * 64 for name, digit in {"gmp": "1", "mpfr": "2", "gmpy2": "3", "zlib": "4"}.items()}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(recipe: str, *requires: str, platform: str = PLATFORM, python: str | None = None) -> dict[str, Any]:
    needed = [f"{name}@1/{platform}" for name in requires]
    key = KEYS[recipe]
    return {"step": f"{recipe}@1/{platform}", "recipe": recipe, "platform": platform, "python": python, "key": key,
            "requires": needed}  # fmt: skip


NOW = [row("gmp"), row("mpfr", "gmp"), row("gmpy2", "mpfr", python="cp313"), row("zlib")]


def before(**keys: str) -> list[dict[str, Any]]:
    return [{**r, "key": keys.get(r["recipe"], r["key"])} for r in NOW]


def jobs(workflow: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(workflow.read_text("utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_says(workflow: Path) -> None:
    whole = YAML(typ="safe").load(workflow.read_text("utf-8"))
    assert whole["permissions"] == {}
    for job in whole["jobs"].values():
        assert set(job["permissions"]) <= {"contents", "actions"}
        assert job["permissions"].get("actions", "read") == "read"  # to ask which commit was published last
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step.get("uses", "actions/x@" + "0" * 40))
            assert "${{" not in step.get("run", ""), "values reach programs by the environment only"
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
    pinned = re.findall(r"uses: (\S+)@\S+ # (v\S+)", workflow.read_text("utf-8"))
    assert len(pinned) == workflow.read_text("utf-8").count("uses: ")


def test_what_a_pull_request_reaches_has_no_secret_and_no_machine_of_ours() -> None:
    for workflow in WORKFLOWS:
        if "pull_request" not in workflow.read_text("utf-8"):
            continue
        for job in jobs(workflow).values():
            if "github.event_name == 'push'" in job.get("if", ""):
                continue
            text = json.dumps(job)
            assert "secrets." not in text
            assert "environment" not in job
            assert "self-hosted" not in text
            assert set(job["permissions"].values()) == {"read"}


def test_a_secret_is_given_to_the_step_that_needs_it_alone() -> None:
    """What a job installs first, from a package index, has no need of the ledger's password."""
    for workflow in WORKFLOWS:
        whole = YAML(typ="safe").load(workflow.read_text("utf-8"))
        for part in (whole, *whole["jobs"].values()):
            assert "secrets." not in json.dumps(part.get("env", {}))


def test_every_file_that_a_workflow_runs_is_there() -> None:
    text = "\n".join(path.read_text("utf-8") for path in WORKFLOWS)
    named = set(re.findall(r"(?:scripts|\.ci)/[\w.]+", text))
    assert {"scripts/ci_jobs.py", "scripts/native_trial.py", ".ci/run"} <= named
    assert all((ROOT / name).is_file() for name in named)
    verbs = set(re.findall(r"bin/farm (\S+)", text))
    assert verbs <= set(cli.VERBS)


def test_checkers_find_nothing() -> None:
    """zizmor, the schemas, actionlint."""
    command: list[str | Path] = [sys.executable, ROOT / "scripts/lint_workflows.py", "--require"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_is_the_program_that_its_name_says(tmp_path: Path) -> None:
    program, reason = script("lint_workflows").actionlint()
    assert program, reason
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    needs: [b]\n    steps:\n"
                     "      - run: echo ${{ github.event.issue.title }}\n")  # fmt: skip
    done = subprocess.run([program, "-no-color", wrong], capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not exist in this workflow" in done.stdout
    assert "potentially untrusted" in done.stdout


@pytest.mark.parametrize(
    ("old", "concerned"),
    [
        (before(), set()),
        (before(zlib="0"), {"zlib"}),
        (before(mpfr="0"), {"mpfr", "gmpy2"}),
        (before(gmp="0"), {"gmp", "mpfr", "gmpy2"}),
        ([], {"gmp", "mpfr", "gmpy2", "zlib"}),
    ],
)
def test_a_change_concerns_recipes_and_their_dependents(old: list[dict[str, Any]], concerned: set[str]) -> None:
    assert script("ci_jobs").affected(NOW, old) == concerned


def test_jobs_are_by_platform_and_those_of_native_runners_by_python_too() -> None:
    made = script("ci_jobs")
    rows = [*NOW, row("gmpy2", "mpfr", platform="win_arm64", python="cp313")]
    builds = made.build_jobs(rows)
    assert [(job["platform"], job["recipes"]) for job in builds] == [
        (PLATFORM, ["gmp", "mpfr", "gmpy2", "zlib"]),
        ("win_arm64", ["gmpy2"]),
    ]
    distributions = {name: name for name in KEYS}
    imports = {name: ("gmpy2",) if name == "gmpy2" else () for name in KEYS}
    (job,) = made.native_jobs(rows, distributions, imports, {"gmpy2": "recipes/gmpy2/smoke.py"})
    assert (job["platform"], job["python"], job["processor"]) == ("win_arm64", "3.13", "arm64")
    (step,) = job["steps"]
    assert step == {
        "step": "gmpy2@1/win_arm64", "key": KEYS["gmpy2"], "recipe": "gmpy2", "platform": "win_arm64",
        "python": "cp313", "distribution": "gmpy2", "imports": ["gmpy2"], "smoke": "recipes/gmpy2/smoke.py",
    }  # fmt: skip


def test_what_a_recipe_leaves_to_native_runners_is_handed_out(real: Catalog) -> None:
    made = script("ci_jobs")
    gmpy2, zlib = real.recipes["gmpy2"].recipe, real.recipes["zlib"].recipe
    rows = {p: row("gmpy2", "gmp", "mpfr", platform=p, python="cp313") for p in ("win_arm64", "win_amd64", PLATFORM)}
    assert made.built_there(rows["win_arm64"], gmpy2)
    assert not made.built_there(rows["win_amd64"], gmpy2), "its recipe does not ask for it"
    assert not made.built_there(rows["win_arm64"], zlib)
    assert not made.built_there({**rows["win_arm64"], "platform": "macosx_12_0_riscv"}, gmpy2), "there is no machine"
    # One build job makes its native wheels and the handout; it builds nothing itself.
    (build,) = made.build_jobs([], [rows["win_arm64"]])
    assert build == {
        "platform": "win_arm64", "recipes": [], "pythons": list(made.PYTHONS),
        "handouts": [{
            "step": "gmpy2@1/win_arm64", "key": KEYS["gmpy2"], "recipe": "gmpy2", "tag": "cp313", "python": "3.13",
            "requires": ["gmp@1", "mpfr@1"],
        }],
    }  # fmt: skip
    assert made.handout_jobs([rows["win_arm64"]]) == [
        {"platform": "win_arm64", "runner": "windows-11-arm", "processor": "arm64", "python": "3.13", "tag": "cp313"}
    ]


def test_jobs_of_this_very_catalog(tmp_path: Path) -> None:
    """Everything against nothing: each job is small enough for the forge, and each runner is one of a platform here."""
    made, out = script("ci_jobs"), tmp_path / "output"
    assert made.main(["--base", made.NOTHING, "--output", str(out)]) == 0
    said = dict(line.split("=", 1) for line in out.read_text().splitlines())
    builds, natives, handouts = (json.loads(said[name]) for name in ("builds", "natives", "handouts"))
    handed = {(job["platform"], row["tag"]) for job in builds for row in job["handouts"]}
    assert handed == {(job["platform"], job["tag"]) for job in handouts}
    assert {job["platform"] for job in handouts} == {"macosx_10_13_x86_64", "macosx_11_0_arm64", "win_arm64"}
    for job in builds:  # nothing is built twice, here and there
        assert not {row["recipe"] for row in job["handouts"]} & set(job["recipes"])
    tested = {(step["step"]) for job in natives for step in job["steps"]}
    assert not {step for step in tested if step.startswith("gmpy2@") and "/macosx" in step}
    assert {job["platform"] for job in builds} >= set(made.RUNNERS) >= {job["platform"] for job in natives}
    assert 0 < len(builds) <= 256
    assert 0 < len(natives) <= 256
    assert all((ROOT / step["smoke"]).is_file() for job in natives for step in job["steps"])


def test_a_revision_is_no_option(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is no revision"):
        script("ci_jobs").main(["--base=--exec=x"])


def test_what_jobs_built_is_taken_and_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, taken = tmp_path / "home", tmp_path / "taken"
    monkeypatch.setenv("FARM_HOME", str(home))
    wheel = make_wheel(tmp_path, "x-1.0-py3-none-any.whl")
    Store(taken / "stores" / "store-a").put("a" * 64, wheel)
    assert script("ci_publish").main([str(taken)]) == 0
    assert Store(home / "store").get("a" * 64) is not None
    reader = IndexReader(home / "index")
    generation = reader.current("staging")
    assert generation is not None
    assert [file.filename for file in reader.files_in(generation)] == [wheel.name]


def test_a_damaged_wheel_of_a_job_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, taken = tmp_path / "home", tmp_path / "taken"
    monkeypatch.setenv("FARM_HOME", str(home))
    store = Store(taken / "stores" / "store-a")
    for letter in "ab":
        artifact = store.put(letter * 64, make_wheel(tmp_path, f"{letter}-1.0-py3-none-any.whl"))
    path = store.path(artifact)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert script("ci_publish").main([str(taken)]) == 9
    assert "damaged" in capsys.readouterr().err
    assert list(Store(home / "store").keys()) == []
    assert IndexReader(home / "index").current("staging") is None


def test_a_failed_native_test_keeps_wheels_from_staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, taken = tmp_path / "home", tmp_path / "taken"
    catalog = small_farm.make(tmp_path / "catalog")
    monkeypatch.setenv("FARM_HOME", str(home))
    monkeypatch.setenv("FARM_CATALOG", str(catalog))
    planned = json.loads(small_farm.farm(catalog, "plan", "pytiny", "--json").stdout)["steps"]
    (key,) = (row["key"] for row in planned if row["recipe"] == "pytiny")
    wheel = make_wheel(tmp_path, f"pytiny-0.5-{TAG}-{TAG}-{PLATFORM}.whl")
    artifact = Store(taken / "stores/store-a").put(key, wheel)
    report = {"format": 1, "step": f"pytiny@0.5/{PLATFORM}/{TAG}", "key": key, "wheel": wheel.name, "runner": "m",
              "sha256": artifact.sha256, "built": False,
              "verdicts": [{"suite": "smoke", "outcome": "failed"}]}  # fmt: skip
    (taken / "reports").mkdir()
    (taken / "reports/one.json").write_text(json.dumps(report))
    assert script("ci_publish").main([str(taken)]) == 13
    assert IndexReader(home / "index").current("staging") is None


def taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Native | None = None) -> tuple[Native, Path]:
    """What jobs left: the library in a store, its dependent with a report of a native runner. A home of its own."""
    work = made or remote_work(tmp_path)
    taken, home = tmp_path / "taken", tmp_path / "home"
    monkeypatch.setenv("FARM_HOME", str(home))
    monkeypatch.setenv("FARM_CATALOG", str(work.catalog))
    shutil.copytree(work.home / "store", taken / "stores/store-a")
    (taken / "built/built-a").mkdir(parents=True)
    for file in (work.wheel, work.report):
        shutil.copy(file, taken / "built/built-a")
    return work, taken


def test_what_a_native_runner_built_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, taken = taken_in(tmp_path, monkeypatch)
    assert script("ci_publish").main([str(taken)]) == 0
    reader = IndexReader(tmp_path / "home/index")
    generation = reader.current("staging")
    assert generation is not None
    assert {file.project for file in reader.files_in(generation)} == {"native-tiny", "pytiny"}
    assert work.wheel.name in {file.filename for file in reader.files_in(generation)}


def test_the_wheel_that_was_first_stays_and_nothing_else_is_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The farm cross-built the step meanwhile: a key means one wheel."""
    work, taken = taken_in(tmp_path, monkeypatch)
    key = work.keys[STEP]
    other = edit(work.wheel, tmp_path / "other", WheelEdits(put={"pytiny/more.py": b"x = 1\n"}))
    first = Store(tmp_path / "home/store").put(key, other)
    assert script("ci_publish").main([str(taken)]) == 0
    assert "that of machine 7 is not taken" in capsys.readouterr().out
    kept = Store(tmp_path / "home/store").get(key)
    assert kept is not None
    assert kept.sha256 == first.sha256


def test_a_report_that_is_none_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, taken = taken_in(tmp_path, monkeypatch)
    (taken / "built/built-a/odd.json").write_text("{}")
    assert script("ci_publish").main([str(taken)]) == 7
    assert "odd.json" in capsys.readouterr().err
    assert IndexReader(tmp_path / "home/index").current("staging") is None


def test_a_build_job_hands_out_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Really: the library is built, and the handout of its dependent packed for another machine."""
    catalog = small_farm.make(tmp_path / "catalog")
    monkeypatch.setenv("FARM_CATALOG", str(catalog))
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    row = {"recipe": "pytiny", "tag": TAG, "python": version, "requires": ["tiny@1.0"]}
    job = {"platform": PLATFORM, "recipes": [], "pythons": [version], "handouts": [row]}
    monkeypatch.setenv("JOB", json.dumps(job))
    assert script("ci_build").main() == 0
    with tarfile.open(tmp_path / "handouts" / TAG / "pytiny.tar") as packed:
        names = packed.getnames()
    assert {"./job.json", "./cibuildwheel.toml", "./source/setup.py"} <= set(names)
    assert [name for name in names if re.fullmatch(r"\./wheels/farm/wheel_farm-.*\.whl", name)]


def test_a_build_job_builds_and_tests_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"platform": PLATFORM, "recipes": ["gmp", "gmpy2"], "pythons": ["3.13"], "handouts": []}
    monkeypatch.setenv("JOB", json.dumps(job))
    made = script("ci_build")
    called: list[list[str]] = []

    def passes(argv: list[str]) -> int:
        called.append(argv)
        return 0

    monkeypatch.setattr(made, "farm", passes)
    assert made.main() == 0
    words = ["gmp", "gmpy2", "--platform", PLATFORM, "--python=3.13"]
    assert called == [["build", *words, "--no-publish"], ["test", *words]]
    for argv in called:  # the verbs know these words
        cli._parser(only=argv[0]).parse_args(argv)


def test_a_release_is_of_the_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("release").main(["--tag", "v9.9", "--output", str(tmp_path / "dist")]) == 1
    assert "the tag is v9.9" in capsys.readouterr().err
    assert not (tmp_path / "dist").exists()


@pytest.mark.slow
def test_a_release_is_built_twice_and_kept(tmp_path: Path) -> None:
    from farm import __version__

    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)
    output = str(tmp_path / "dist")
    command = [sys.executable, "scripts/release.py", "--tag", f"v{__version__}", "--output", output]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(p.suffix for p in (tmp_path / "dist").iterdir()) == ["", ".gz", ".whl"]
    shutil.rmtree(checkout)
