"""A dependent handed out by its recipe: cibuildwheel builds it, `farm repair` repairs it, `farm admit` takes it in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import containers
import pytest
import small_farm
from small_farm import PLATFORM, ROOT

from farm import cli
from farm.catalog import Catalog
from farm.errors import CatalogError
from farm.handout import config
from farm.handout.compilers import COMPILERS
from farm.handout.config import Order
from farm.model.plan import Step
from farm.plan.effective import merged
from farm.store.artifacts import Store
from farm.store.ledger import Ledger

HOME = Path(os.environ["FARM_TEST_HOME"]).resolve()
SCRIPT = ROOT / "scripts" / "native_build.py"
# The image's glibc is newer than the floor of manylinux_2_17, which a manylinux image would have: of functions that its
# libm has in two versions, programs get the old one. `farm repair` refuses the wheel otherwise.
FLOOR = "".join(f'__asm__(".symver {name},{name}@GLIBC_2.2.5");\n' for name in ("exp", "log", "pow"))
PIP_CONF = "[global]\nno-index = true\nfind-links = /offered\n"


def farm(catalog: Path, home: Path, *words: str | Path) -> int:
    return cli.run(["--catalog", str(catalog), "--home", str(home), *map(str, words)])


def order(real: Catalog, name: str, platform: str, **changes: Any) -> Order:
    """What is asked for of a real recipe, with its native wheels by their names only."""
    loaded = real.recipes[name]
    step = Step(
        id=f"{name}@1/{platform}/cp313", slot=f"{name}/{platform}/cp313", recipe=name, version="1", platform=platform,
        kind="dependent", python="cp313", requires=(), key="0" * 64, inputs=(),
    )  # fmt: skip
    effective = merged(loaded.recipe, loaded.recipe.current, platform)
    build = effective.build.model_copy(update=changes)
    return Order(
        step=step, recipe=loaded, effective=type(effective)(**{**_fields(effective), "build": build}),
        toolchain=real.toolchains[platform], packages=("native_gmp", "native_mpfr"), beside=("native-gmp",),
        farm="wheel-farm==1", epoch_seconds=1_600_000_000,
    )  # fmt: skip


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def options(asked: Order) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(config.text(asked))["tool"]["cibuildwheel"]
    return table


def test_the_configuration_is_the_recipes_own(real: Catalog) -> None:
    table = options(order(real, "gmpy2", "manylinux_2_17_aarch64"))
    assert table["build-frontend"]["args"] == ["--no-isolation", "--skip-dependency-check"]
    assert table["manylinux-aarch64-image"] == "manylinux2014"
    assert "--require-hashes" in table["before-build"]
    words = table["repair-wheel-command"]
    assert words.startswith("/opt/farm/bin/farm ")
    assert words.endswith("--recipe gmpy2 --platform manylinux_2_17_aarch64")
    assert "--no-index" in table["before-test"]
    assert table["before-test"].endswith(" native-gmp")
    assert table["test-command"].endswith('python "{project}/catalog/recipes/gmpy2/smoke.py"')
    variables = table["environment"]
    assert "-I/project/deps/native_gmp/include" in variables["CFLAGS"]
    assert variables["LDFLAGS"] == "-L/project/deps/native_gmp/lib -L/project/deps/native_mpfr/lib"
    assert variables["SOURCE_DATE_EPOCH"] == "1600000000"
    # The recipe's flags for clang's inliner say nothing to gcc, and the file says so.
    assert "-mllvm" not in variables["CFLAGS"]
    assert "# left out, as gcc does not know it: -mllvm" in config.text(order(real, "gmpy2", "manylinux_2_17_aarch64"))


@pytest.mark.parametrize(
    ("platform", "build"),
    [
        ("manylinux_2_17_x86_64", "cp313-manylinux_x86_64"),
        ("musllinux_1_2_aarch64", "cp313-musllinux_aarch64"),
        ("macosx_11_0_arm64", "cp313-macosx_arm64"),
        ("macosx_10_13_x86_64", "cp313-macosx_x86_64"),
        ("win_amd64", "cp313-win_amd64"),
        ("win32", "cp313-win32"),
        ("win_arm64", "cp313-win_arm64"),
    ],
)
def test_builds_have_the_names_of_cibuildwheel(real: Catalog, platform: str, build: str) -> None:
    asked = order(real, "gmpy2", platform)
    assert config.identifier(asked.step, asked.toolchain) == build
    assert f"--platform {platform}" in options(asked)["repair-wheel-command"]


def test_on_windows_and_macos_the_handout_is_where_the_script_says(real: Catalog) -> None:
    windows = options(order(real, "gmpy2", "win_arm64"))
    assert windows["environment"]["LIB"].split(";")[0] == "$FARM_HANDOUT/deps/native_gmp/lib"
    assert windows["environment"]["INCLUDE"].split(";")[1] == "$FARM_HANDOUT/deps/native_mpfr/include"
    assert not {"CFLAGS", "CL"} & set(windows["environment"])  # no flag of the recipe is one of Microsoft's
    assert windows["repair-wheel-command"].startswith("farm ")
    assert "before-all" not in windows
    macos = options(order(real, "gmpy2", "macosx_10_13_x86_64"))["environment"]
    assert macos["MACOSX_DEPLOYMENT_TARGET"] == "10.13"
    assert macos["CFLAGS"].endswith("-O3 -mllvm -inline-threshold=1000")


def test_what_is_said_to_cross_builds_only_is_left_out(real: Catalog) -> None:
    settings = options(order(real, "numpy", "macosx_11_0_arm64"))["config-settings"]["setup-args"]
    assert "-Dblas=openblas" in settings
    assert not [word for word in settings if "cross-file" in word]


def test_words_of_a_recipe_stay_words(real: Catalog) -> None:
    """cibuildwheel reads variables as a shell reads double quotes; TOML has quotes of its own."""
    odd = 'a "b" $(c) `d` \\ é'
    asked = order(real, "gmpy2", "manylinux_2_17_x86_64", env={"ODD": odd, "CFLAGS": ""}, args=(f"x={odd}",))
    table = options(asked)
    shown = subprocess.run(["sh", "-c", f'printf %s "{table["environment"]["ODD"]}"'], capture_output=True, text=True)
    assert shown.stdout == odd
    assert "CFLAGS" not in table["environment"]
    assert table["config-settings"] == {"x": [odd]}
    with pytest.raises(CatalogError, match="no key=value"):
        config.text(order(real, "gmpy2", "manylinux_2_17_x86_64", args=("--fast",)))


AS_READ = """
import json, sys
from cibuildwheel.environment import parse_environment
from cibuildwheel.options import EnvironmentFormat
given, before = json.load(sys.stdin)
print(json.dumps(parse_environment(EnvironmentFormat().format_table(given)).as_dictionary(before)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["win_arm64", "macosx_11_0_arm64", "manylinux_2_17_aarch64"])
def test_variables_as_cibuildwheel_reads_them(real: Catalog, cibuildwheel: Path, platform: str) -> None:
    odd = 'a "b" $(c) `d` \\ é'
    given = [options(order(real, "gmpy2", platform, env={"ODD": odd}))["environment"], {"FARM_HANDOUT": "D:/x"}]
    command: list[str | Path] = [cibuildwheel.with_name("python"), "-c", AS_READ]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    root = "/project" if platform.startswith("manylinux") else "D:/x"
    assert found["ODD"] == odd
    assert found["CMAKE_PREFIX_PATH"].replace(";", ":").startswith(f"{root}/deps/native_gmp:{root}/deps/")


def test_flags_by_compiler() -> None:
    flags = ("-O3", "-mllvm", "-x=1", "-DA=1", "-Xclang", "-o", "-Qunused-arguments", "-D")
    assert COMPILERS["macos"].sorted_out(flags) == (flags, ())
    assert COMPILERS["linux"].sorted_out(flags)[0] == ("-O3", "-DA=1", "-D")
    assert COMPILERS["windows"].sorted_out(flags)[0] == ("-DA=1",)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose library is built; its dependent is for others to build."""
    catalog = small_farm.make(tmp_path_factory.mktemp("small") / "catalog")
    recipe = catalog / "recipes/pytiny/recipe.toml"
    prepare = 'prepare = [["sh", "-c", "echo prepared in {source} >prepared"]]'
    recipe.write_text(recipe.read_text().replace('system = "pep517"', f'system = "pep517"\n{prepare}'))
    built = small_farm.farm(catalog, "build", "tiny")
    assert built.returncode == 0, built.stderr
    return catalog


def handed_out(catalog: Path, home: Path, out: Path, recipe: str, *words: str | Path) -> Path:
    """The handout of a recipe for this platform and the image's Python."""
    asked = ["--platform", PLATFORM, "--python", containers.PYTHON, "-o", out, *words]
    assert farm(catalog, home, "recipe", "cibuildwheel", recipe, *asked) == 0
    return out


def test_a_handout_holds_all_that_a_build_needs(small: Path, tmp_path: Path) -> None:
    out = handed_out(small, small / ".farm", tmp_path / "out", "pytiny")
    assert (out / "source/prepared").read_text() == "prepared in /farm/src\n"
    assert (out / "deps/native_tiny/include/tiny.h").is_file()
    (linked,) = (out / "wheels/linked").iterdir()
    digest = hashlib.sha256(linked.read_bytes()).hexdigest()
    lines = (out / "requirements.txt").read_text().splitlines()
    assert lines[-1] == f"native-tiny==1!1.0 --hash=sha256:{digest}"
    assert any(line.startswith("setuptools==") for line in lines)
    job = json.loads((out / "job.json").read_text())
    (step,) = job["steps"]
    planned = json.loads(small_farm.farm(small, "plan", "pytiny", "--python", containers.PYTHON, "--json").stdout)
    assert step["key"] == next(row["key"] for row in planned["steps"] if row["recipe"] == "pytiny")
    assert (out / step["smoke"]).is_file()
    # The same catalog, so that `farm repair --recipe` does there what it would do here.
    assert (out / "catalog/recipes/pytiny/recipe.toml").read_bytes() == (
        small / "recipes/pytiny/recipe.toml"
    ).read_bytes()
    assert not list(out.parent.glob(".out*"))


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("tiny", "--platform", PLATFORM), 2, "is a library"),
        (("nothing", "--platform", PLATFORM), 2, "there is no recipe"),
        (("pytiny", "--platform", "win_arm64"), 2, "there is no platform"),
        (("pytiny", "--platform", PLATFORM, "--farm", "missing.whl"), 2, "there is no file missing.whl"),
    ],
)
def test_what_cannot_be_handed_out(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, complaint: str
) -> None:
    out = tmp_path / "out"
    assert farm(small, small / ".farm", "recipe", "cibuildwheel", *words, "--python", "3.11", "-o", out) == code
    assert complaint in capsys.readouterr().err
    assert not out.exists()


def test_a_handout_is_not_written_over(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words: list[str | Path] = ["pytiny", "--platform", PLATFORM, "--python", "3.11", "-o", tmp_path]
    assert farm(small, small / ".farm", "recipe", "cibuildwheel", *words) == 2
    assert "exists" in capsys.readouterr().err


def built(handout: Path, results: Path, engine: containers.Engine, offered: Path, work: Path) -> Path:
    """What `scripts/native_build.py` leaves of a handout, packed as between machines; pip sees `offered` only."""
    packed = work / "handout.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(handout, arcname=".")
    (work / "pip.conf").write_text(PIP_CONF)
    mounts = f"--volume={offered}:/offered:ro --volume={work / 'pip.conf'}:/etc/pip.conf:ro --env=CC=/offered/cc"
    environment = {
        **engine.environment,
        "CIBW_CONTAINER_ENGINE": f"podman; create_args: {mounts}",
        "CIBW_MANYLINUX_X86_64_IMAGE": containers.IMAGE,
        "CIBW_DEPENDENCY_VERSIONS": "latest",  # those that the image has
    }
    command: list[str | Path] = [sys.executable, SCRIPT, packed]
    command += ["--runner", "podman 1", "--output", results, "--no-index"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    (report,) = results.glob("*.json")
    return report


def offer(offered: Path, farm_wheels: Path, lock: Path) -> Path:
    """What pip finds in the container: the farm and the recipe's build requirements, by hash."""
    shutil.copytree(farm_wheels, offered)
    (offered / "floor.h").write_text(FLOOR)
    (offered / "cc").write_text('#!/bin/sh\nexec gcc -include /offered/floor.h "$@"\n')
    (offered / "cc").chmod(0o755)
    containers.wheels(offered, "--require-hashes", "-r", str(lock))
    return offered


def admitted(catalog: Path, home: Path, report: Path) -> dict[str, Any]:
    """The report taken in; all verdicts on its key."""
    key = json.loads(report.read_text())["key"]
    assert farm(catalog, home, "admit", report) == 0
    assert Store(home / "store").get(key) is not None
    with Ledger.open(home / "ledger.sqlite") as ledger:
        verdicts = {verdict.kind: verdict for verdict in ledger.verdicts([key])[key]}
    assert verdicts["provenance"].reason == "built by podman 1"
    assert {verdict.outcome for verdict in verdicts.values()} == {"passed"}
    return verdicts


@pytest.mark.slow
def test_a_recipe_by_cibuildwheel_is_admitted_and_installed(
    small: Path, tmp_path: Path, engine: containers.Engine, farm_wheels: Path
) -> None:
    """The whole way of a native build: recipe, handout, cibuildwheel, repair, tests, report, store, channel, pip."""
    home = small / ".farm"
    offered = offer(tmp_path / "offered", farm_wheels, small / "recipes/pytiny/build-requirements.txt")
    (wheel,) = offered.glob("wheel_farm-*.whl")
    handout = handed_out(small, home, tmp_path / "handout", "pytiny", "--farm", wheel)
    report = built(handout, tmp_path / "results", engine, offered, tmp_path)
    assert set(admitted(small, home, report)) == {"audit", "provenance", "smoke"}
    # Nothing is left to build, and the channel has the very file.
    assert farm(small, home, "build", "pytiny", "--python", containers.PYTHON) == 0
    python = small_farm.install(tmp_path / "fresh", home / "index/staging/simple", "pytiny")
    code = "import pytiny; print(pytiny.add(2, 3))"
    assert subprocess.check_output([python, "-I", "-c", code], text=True, timeout=60) == "5\n"
    # Another wheel of the same step comes too late.
    said = json.loads(report.read_text())
    report.write_text(json.dumps({**said, "sha256": "0" * 64}))
    assert farm(small, home, "admit", report) == 7


@pytest.mark.slow
def test_gmpy2_by_its_recipe(tmp_path: Path, engine: containers.Engine, farm_wheels: Path, real: Catalog) -> None:
    """With real native wheels, in a home of its own; then what the farm's own gmpy2 must pass."""
    home = tmp_path / "home"
    assert farm(ROOT, HOME, "build", "mpc", "--no-publish") == 0
    # Only what gmpy2 is built against: the farm may have built gmpy2 as well, and a key means one wheel.
    built_here, own = Store(HOME / "store"), Store(home / "store")
    for step in json.loads(small_farm.farm(ROOT, "plan", "mpc", "--all", "--json", home=HOME).stdout)["steps"]:
        artifact = built_here.get(step["key"])
        assert artifact is not None
        own.put(step["key"], built_here.path(artifact))
    offered = offer(tmp_path / "offered", farm_wheels, real.recipes["gmpy2"].directory / "build-requirements.txt")
    (wheel,) = offered.glob("wheel_farm-*.whl")
    handout = handed_out(ROOT, home, tmp_path / "handout", "gmpy2", "--farm", wheel)
    report = built(handout, tmp_path / "results", engine, offered, tmp_path)
    admitted(ROOT, home, report)
    assert farm(ROOT, home, "build", "gmpy2", "--python", containers.PYTHON) == 0
    python = small_farm.install(tmp_path / "fresh", home / "index/staging/simple", "gmpy2")
    smoke = real.recipes["gmpy2"].directory / "smoke.py"
    subprocess.run([python, smoke], check=True, timeout=120)
