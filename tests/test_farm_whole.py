"""The main job, end to end through the command line: a tiny library, a tiny dependent, a real compiler, real pip."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_farm
from small_farm import PLATFORM, TAG, farm

TINY, PYTINY = f"tiny@1.0/{PLATFORM}", f"pytiny@0.5/{PLATFORM}/{TAG}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose recipes are built and published."""
    catalog = small_farm.make(tmp_path_factory.mktemp("farm") / "catalog")
    done = farm(catalog, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TINY} built" in done.stdout
    assert f"{PYTINY} built" in done.stdout
    return catalog


def wheels(catalog: Path, home: Path | None = None) -> dict[str, bytes]:
    store = (home or catalog / ".farm") / "store/blobs"
    return {path.name: path.read_bytes() for path in store.rglob("*.whl")}


def states(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {row["step"]: row["state"] for row in json.loads(done.stdout)["steps"]}


def test_pip_installs_the_result(built: Path, tmp_path: Path) -> None:
    python = small_farm.install(tmp_path / "venv", built / ".farm/index/staging/simple", "pytiny")
    code = (
        "import pytiny; assert pytiny.add(40, 2) == 42\n"
        "mapped = {l.split()[-1] for l in open('/proc/self/maps') if 'libtiny' in l}\n"
        "print(*[m.rsplit('/', 1)[1] for m in mapped])"
    )
    assert subprocess.check_output([python, "-I", "-c", code], text=True).strip() == "libtiny-nf01.so"
    listed = subprocess.check_output([python, "-m", "pip", "list", "--format=json"], text=True)
    assert {"name": "native-tiny", "version": "1!1.0"} in json.loads(listed)
    requires = subprocess.check_output(
        [python, "-c", "from importlib.metadata import requires; print(*requires('pytiny'))"], text=True
    )
    assert requires.replace(" ", "").strip() in ("native-tiny>=1!1.0,<2!0", "native-tiny<2!0,>=1!1.0")


@pytest.mark.slow
def test_a_dependent_is_moved_to_the_next_epoch_without_a_build(built: Path, tmp_path: Path) -> None:
    """Upstream breaks its ABI where this dependent does not look; its recipe's audit is content with the result."""
    catalog = tmp_path / "catalog"
    shutil.copytree(built, catalog, symlinks=True)
    breaking = {"tiny.c": small_farm.TINY["tiny.c"].replace("tiny_version(void)", "tiny_release(int which)"),
                "tiny.h": "int tiny_add(int, int);\nconst char *tiny_release(int);\n"}  # fmt: skip
    small_farm.add_release(catalog, "2.0", breaking)
    recipe = catalog / "recipes/tiny/recipe.toml"
    recipe.write_text(recipe.read_text().replace('version = "2.0"\n', 'version = "2.0"\nabi_epoch = 2\n'))
    done = farm(catalog, "build", "tiny@2.0")
    assert done.returncode == 0, done.stdout + done.stderr
    stored = {path.name: path for path in (catalog / ".farm/store/blobs").rglob("*.whl")}
    native = stored[f"native_tiny-2!2.0-py3-none-{PLATFORM}.whl"]
    old = stored[f"pytiny-0.5-{TAG}-{TAG}-{PLATFORM}.whl"]
    out = tmp_path / "out"
    done = farm(catalog, "rebind", str(old), "--to", str(native), "-w", str(out), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["requires"] == ["native-tiny>=2!2.0,<3!0"]
    (new,) = out.iterdir()
    assert new.name.startswith("pytiny-0.5-0r01.")
    assert new.name.endswith(f"-{TAG}-{TAG}-{PLATFORM}.whl")
    done = farm(catalog, "audit", str(new), "--native", str(native), "--recipe", "pytiny")
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", new, native], check=True)
    code = "import pytiny; assert pytiny.add(40, 2) == 42; print('libtiny-nf02.so' in open('/proc/self/maps').read())"
    assert subprocess.check_output([python, "-I", "-c", code], text=True).strip() == "True"


def test_a_second_build_has_nothing_to_do(built: Path) -> None:
    done = farm(built, "build")
    assert done.returncode == 0
    assert "nothing to do: 2 steps are up to date" in done.stdout


def test_the_same_recipe_gives_the_same_bytes_elsewhere(built: Path, tmp_path: Path) -> None:
    elsewhere = small_farm.make(tmp_path / "quite" / "another-place")
    done = farm(elsewhere, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert wheels(elsewhere) == wheels(built)
    assert len(wheels(built)) == 2


def test_a_touched_patch_rebuilds_what_depends_on_it_and_why_says_so(built: Path, tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    assert farm(catalog, "build").returncode == 0
    patch = catalog / "recipes/tiny/patches/0001-nothing.patch"
    patch.write_text(patch.read_text().replace("with it", "with all of it"))
    why = farm(catalog, "why", "pytiny").stdout
    assert "0001-nothing.patch" in why
    assert "tiny" in why
    done = farm(catalog, "build", "--json")
    assert states(done) == {TINY: "built", PYTINY: "built"}


def test_a_touched_test_rebuilds_nothing(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    assert farm(catalog, "build", "tiny").returncode == 0
    smoke = catalog / "recipes/tiny/smoke.c"
    smoke.write_text(smoke.read_text() + "\n")
    assert states(farm(catalog, "build", "tiny", "--json")) == {TINY: "cached"}


def test_a_compiler_error_shows_log_and_the_ways_on(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog", files={"tiny.c": "#error this will not do\n"})
    done = farm(catalog, "build")
    assert done.returncode == 6
    assert "this will not do" in done.stderr
    assert f"farm shell {TINY}" in done.stderr
    assert "farm build tiny" in done.stderr
    log = next(line.split()[-1] for line in done.stderr.splitlines() if line.startswith("log:"))
    assert "this will not do" in Path(log).read_text()
    assert f"{PYTINY} blocked" in done.stdout
    assert not wheels(catalog)


def test_a_gate_stops_a_bad_wheel(tmp_path: Path) -> None:
    """AVX2 in code that every x86-64 processor runs: this field's classic, found before anybody's process dies."""
    code = small_farm.TINY["tiny.c"] + (
        "#include <immintrin.h>\n"
        '__attribute__((target("avx2"))) void tiny_fast(__m256i *p) { p[0] = _mm256_add_epi32(p[0], p[1]); }\n'
    )
    catalog = small_farm.make(tmp_path / "catalog", files={"tiny.c": code})
    done = farm(catalog, "build", "tiny")
    assert done.returncode == 7
    assert "tiny_fast" in done.stderr
    assert not wheels(catalog)


def test_no_network_no_home_in_a_build(tmp_path: Path) -> None:
    script = (
        "libtiny.a: tiny.o\n\t! ls $$HOME /root /home/* 2>/dev/null | grep .\n"
        "\t! (exec 3<>/dev/tcp/127.0.0.1/1) 2>/dev/null\n\t! test -e /usr/include/stdio.h\n\t$(AR) rcs $@ $<\n"
    )
    makefile = small_farm.TINY["Makefile"].replace("libtiny.a: tiny.o\n\t$(AR) rcs $@ $<\n", script)
    catalog = small_farm.make(tmp_path / "catalog", files={"Makefile": makefile})
    done = farm(catalog, "build", "tiny")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_at_any_moment_leaves_a_home_that_works(tmp_path: Path, seed: int) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    child = subprocess.Popen(small_farm.command(catalog, "build"), stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(0.7 + 0.9 * seed)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    done = farm(catalog, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(wheels(catalog)) == 2
    small_farm.install(tmp_path / "venv", catalog / ".farm/index/staging/simple", "pytiny")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    slow = small_farm.TINY["Makefile"].replace("\t$(AR)", "\tsleep 60\n\t$(AR)")
    catalog = small_farm.make(tmp_path / "catalog", files={"Makefile": slow})
    child = subprocess.Popen(
        small_farm.command(catalog, "build", "tiny"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip().endswith("make"):
            break
    time.sleep(0.3)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "run the same command again" in err
    assert not list((catalog / ".farm/store/blobs").rglob("*.whl"))


def test_two_farms_in_one_home_build_each_step_once(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    pair = [
        subprocess.Popen(small_farm.command(catalog, "build", "--json"), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [json.loads(child.communicate(timeout=600)[0]) for child in pair]
    assert all(document["ok"] for document in found)
    built = [row["step"] for document in found for row in document["steps"] if row["state"] == "built"]
    assert sorted(built) == sorted([TINY, PYTINY])


def test_smoke_and_upstream_tests_run_against_the_built_wheels(built: Path) -> None:
    smoke = json.loads(farm(built, "test", "--json").stdout)
    assert {row["step"]: row["outcome"] for row in smoke["results"]} == {TINY: "passed", PYTINY: "passed"}
    upstream = json.loads(farm(built, "test", "pytiny", "--suite", "upstream", "--json").stdout)
    (row,) = upstream["results"]
    assert row["outcome"] == "passed", row
    assert row["counts"]["passed"] == 2
    none = json.loads(farm(built, "test", "tiny", "--suite", "upstream", "--json").stdout)
    assert none["results"][0]["outcome"] == "not run"


def test_a_failing_test_is_said_and_remembered(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    smoke = catalog / "recipes/tiny/smoke.c"
    smoke.write_text(smoke.read_text().replace("!= 5", "!= 6"))
    done = farm(catalog, "test", "tiny")
    assert done.returncode == 13
    assert "failed" in done.stdout
    status = json.loads(farm(catalog, "status", "--json").stdout)
    assert "failed" in json.dumps(status)


def test_after_a_rollback_build_publishes_again(tmp_path: Path) -> None:
    catalog = small_farm.make(tmp_path / "catalog")
    assert farm(catalog, "build", "tiny").returncode == 0
    assert farm(catalog, "build").returncode == 0
    assert farm(catalog, "index", "rollback", "1").returncode == 0
    time.sleep(2.1)  # younger files are not trusted by the snapshot
    for _ in range(2):
        assert farm(catalog, "build").returncode == 0
    assert (catalog / ".farm/index/staging/simple/pytiny/index.html").exists()
    assert farm(catalog, "index", "rollback", "1").returncode == 0
    assert farm(catalog, "build").returncode == 0
    assert (catalog / ".farm/index/staging/simple/pytiny/index.html").exists()
