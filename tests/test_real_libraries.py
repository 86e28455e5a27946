"""The farm's own recipes, really built: GMP, MPFR, MPC, FLINT, gmpy2, python-flint. Minutes each: `make test-all`.

They are built into FARM_HOME (default: `.farm` here), so what is built already is only tested.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_farm import ROOT, farm, install

pytestmark = pytest.mark.slow
HOME = Path(os.environ["FARM_TEST_HOME"]).resolve()
SIMPLE = HOME / "index/staging/simple"
RECIPES = ("gmp", "mpfr", "mpc", "flint", "gmpy2", "python-flint")


def real(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farm.cli", "--catalog", str(ROOT), "--home", str(HOME), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=5400)


@pytest.fixture(scope="module")
def wheels() -> dict[str, Path]:
    """Distribution -> stored wheel of everything the demo installs."""
    done = real("build", "gmpy2", "python-flint", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = json.loads(done.stdout)["steps"]
    found = {row["wheel"].partition("-")[0]: row for row in rows}
    return {
        name: HOME / "store/blobs" / row["sha256"][:2] / row["sha256"] / row["wheel"] for name, row in found.items()
    }


def test_every_smoke_test_passes(wheels: dict[str, Path]) -> None:
    results = json.loads(real("test", *RECIPES, "--json").stdout)["results"]
    assert {row["step"].partition("@")[0]: row["outcome"] for row in results} == dict.fromkeys(RECIPES, "passed")


@pytest.mark.parametrize("recipe", ["gmpy2", "python-flint"])
def test_upstream_suite_ends_as_with_the_wheel_of_the_index(wheels: dict[str, Path], recipe: str) -> None:
    (row,) = json.loads(real("test", recipe, "--suite", "upstream", "--compare", "--json").stdout)["results"]
    assert row["outcome"] == "passed", row["reason"] + row["output"][-3000:]


def test_one_copy_of_each_library_in_a_process(wheels: dict[str, Path], tmp_path: Path) -> None:
    python = install(tmp_path / "venv", SIMPLE, "gmpy2", "python-flint")
    facts = json.loads(subprocess.check_output([python, "-I", ROOT / "scripts/proof.py"], text=True))
    assert {name: len(paths) for name, paths in facts["mapped"].items()} == dict.fromkeys(
        ("gmp", "mpfr", "mpc", "flint"), 1
    )


def test_the_processor_chooses_the_variant_of_flint(wheels: dict[str, Path], tmp_path: Path) -> None:
    """glibc-hwcaps (glibc 2.33 and newer): the AVX2 build if the processor has it, the baseline if it is masked."""
    if tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 33):
        pytest.skip("this glibc does not look into glibc-hwcaps")
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    python = install(tmp_path / "venv", SIMPLE, "python-flint")
    code = "import flint; print(*{l.split()[-1] for l in open('/proc/self/maps') if 'libflint' in l})"

    def mapped(**env: str) -> str:
        return subprocess.check_output([python, "-I", "-c", code], text=True, env={**os.environ, **env})

    assert "glibc-hwcaps/x86-64-v3" in mapped()
    assert "glibc-hwcaps" not in mapped(GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2")


def test_fft_small_is_in_the_variant_only(wheels: dict[str, Path], tmp_path: Path) -> None:
    """It is vector code of thousands of instructions, and nothing but AVX2; the names are the same in both builds."""
    with zipfile.ZipFile(wheels["native_flint"]) as archive:
        archive.extractall(tmp_path)
    baseline, variant = (
        subprocess.check_output(["objdump", "-d", tmp_path / "native_flint/lib" / path]).count(b"%ymm")
        for path in ("libflint-nf24.so", "glibc-hwcaps/x86-64-v3/libflint-nf24.so")
    )
    assert baseline == 0
    assert variant > 50_000


def test_projects_outside_of_the_farm_build_against_native_gmp(wheels: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", ROOT / "tests/test_external_builds.py"],
        env={**os.environ, "FARM_TEST_NATIVE_INDEX": str(SIMPLE)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 passed" in done.stdout


def test_gmp_is_reproducible(wheels: dict[str, Path], tmp_path: Path) -> None:
    """Built again from nothing in another directory: the same wheel, byte for byte."""
    home = tmp_path / "somewhere" / "else"
    done = farm(ROOT, "build", "gmp", "--json", home=home)
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = json.loads(done.stdout)["steps"]
    assert row["state"] == "built"
    again = home / "store/blobs" / row["sha256"][:2] / row["sha256"] / row["wheel"]
    assert again.read_bytes() == wheels["native_gmp"].read_bytes()


def test_the_audit_of_every_stored_wheel_finds_no_error(wheels: dict[str, Path]) -> None:
    natives = [str(path) for name, path in wheels.items() if name.startswith("native_")]
    options = [word for path in natives for word in ("--native", path)]
    done = real("audit", *options, *map(str, wheels.values()))
    assert done.returncode == 0, done.stdout
