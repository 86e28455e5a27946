"""What docs/library-authors.md tells users of cibuildwheel, word for word: without a container, and really in one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import containers
import native_factory as factory
import pytest
from small_farm import ROOT

from farm import cli, settings
from farm.catalog import Catalog
from farm.fetch.obtain import obtain

ONLY = f"{containers.TAG}-manylinux_x86_64"
HOME = Path(os.environ["FARM_TEST_HOME"]).resolve()
SMALL = Path(__file__).parent / "external" / "setuptools"
POWERS = "from powm_setuptools import powm, gmp_release; assert powm(3, 200, 1009) == pow(3, 200, 1009); gmp_release()"
MAPPED = (
    "print(*{l.split(maxsplit=5)[-1].strip() for l in open('/proc/self/maps') if 'libgmp' in l and 'anchor' not in l})"
)


def documented() -> dict[str, dict[str, str]]:
    """The configurations of the page, by a word of each: the small project's and gmpy2's."""
    page = (ROOT / "docs" / "library-authors.md").read_text("utf-8")
    blocks = re.findall(r"^```toml\n(\[tool\.cibuildwheel\.linux\]\n.*?)^```", page, re.DOTALL | re.MULTILINE)
    tables = [tomllib.loads(block)["tool"]["cibuildwheel"]["linux"] for block in blocks]
    small, _older, gmpy2 = tables
    assert len(blocks[0].splitlines()) == len(blocks[2].splitlines()) == 3
    return {"small": small, "gmpy2": gmpy2}


def sh(command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def builder(root: Path) -> Path:
    """An environment like that of /opt/python/cp3X-cp3X, into which the farm is installed from this checkout."""
    venv.create(root, with_pip=False, symlinks=True)
    (site,) = (root / "lib").glob("python*/site-packages")
    mine = [entry for entry in sys.path if entry.endswith("site-packages")]
    site.joinpath("checkout.pth").write_text("\n".join([*mine, str(ROOT)]) + "\n")
    for name, module in {"farm": "farm.cli", "pip": "pip._internal.cli.main"}.items():
        script = root / "bin" / name
        script.write_text(f"#!{root}/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    return root


def test_the_three_lines_do_without_a_container(tmp_path: Path) -> None:
    """Every command as cibuildwheel runs it, with a tiny native-gmp."""
    config, wheels = documented()["small"], tmp_path / "wheels"
    shutil.copytree(factory.tiny_gmp(tmp_path / "gmp").wheel.parent, wheels)
    environment = {
        "PATH": f"{builder(tmp_path / 'cp')}/bin:{os.environ['PATH']}:{Path(sys.executable).parent}",
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip(),
        "FARM_HOME": str(tmp_path / "no-farm"),
    }
    project, built, out = tmp_path / "project", tmp_path / "built", tmp_path / "repaired"
    shutil.copytree(SMALL, project)
    sh(config["before-build"], project, **environment)
    sh(f"pip wheel -q --no-deps --wheel-dir={built} .", project, **environment)
    (raw,) = built.glob("*.whl")
    sh(config["repair-wheel-command"].format(wheel=raw, dest_dir=out), project, **environment)
    assert proven(out, wheels, tmp_path / "fresh", POWERS) == ["libgmp-nf10.so"]
    # What a project gets that looks into a prefix.
    sh("farm fetch gmp --prefix .local", project, **environment)
    assert {"gmp.h", "libgmp.so", "libgmp-nf10.so", "gmp.pc"} <= {p.name for p in (project / ".local").rglob("*")}
    assert not (tmp_path / "no-farm").exists()


def proven(out: Path, wheels: Path, fresh: Path, code: str) -> list[str]:
    """The wheel audits, installs with pip beside the native wheels, computes. Names of the copies of GMP it maps."""
    (wheel,) = out.glob("*.whl")
    assert cli.run(["audit", str(wheel), *(f"--native={native}" for native in wheels.glob("native_*.whl"))]) == 0
    venv.create(fresh, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(fresh), "install", "-q", "--no-index", "--only-binary=:all:"]
    subprocess.run([*pip, "--find-links", str(wheels), str(wheel)], check=True, timeout=300)
    command: list[str | Path] = [fresh / "bin" / "python", "-I", "-c", f"{code}\n{MAPPED}"]
    return [
        Path(path).name for path in subprocess.check_output(command, text=True, timeout=120).splitlines()[-1].split()
    ]


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory, farm_wheels: Path) -> Path:
    """A directory with real native wheels, the farm as a wheel, and all that it and the projects need."""
    out = tmp_path_factory.mktemp("offered")
    command = [sys.executable, "-m", "farm.cli", "--catalog", str(ROOT), "--home", str(HOME), "build", "mpc", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for row in json.loads(done.stdout)["steps"]:
        shutil.copy2(HOME / "store/blobs" / row["sha256"][:2] / row["sha256"] / row["wheel"], out)
    shutil.copytree(farm_wheels, out, dirs_exist_ok=True)
    containers.wheels(out, "setuptools>=77,<80", "setuptools_scm[toml]>=6.0")
    return out


def built(engine: containers.Engine, cibuildwheel: Path, offered: Path, project: Path, config: dict[str, str]) -> Path:
    """What cibuildwheel makes of a project with a documented configuration; its pip sees `offered` only."""
    shared, out = project.parent / "shared.toml", project.parent / "wheelhouse"
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items())
    shared.write_text(f"[tool.cibuildwheel.linux]\n{lines}")
    environment = {
        **engine.environment,
        "CIBW_CONTAINER_ENGINE": f"podman; create_args: --volume={offered}:/offered:ro",
        "CIBW_MANYLINUX_X86_64_IMAGE": containers.IMAGE,
        "CIBW_ENVIRONMENT": "PIP_NO_INDEX=1 PIP_FIND_LINKS=/offered",
    }
    command: list[str | Path] = [cibuildwheel, project, "--config-file", shared, "--only", ONLY, "--output-dir", out]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return out


@pytest.mark.slow
def test_a_small_project_in_cibuildwheels_container(
    tmp_path: Path, engine: containers.Engine, cibuildwheel: Path, offered: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(SMALL, project)
    out = built(engine, cibuildwheel, offered, project, documented()["small"])
    assert proven(out, offered, tmp_path / "fresh", POWERS) == ["libgmp-nf10.so"]


@pytest.mark.slow
def test_gmpy2_in_cibuildwheels_container(
    tmp_path: Path, engine: containers.Engine, cibuildwheel: Path, offered: Path, real: Catalog
) -> None:
    """Its own released sources, with no line changed; then what the farm's own gmpy2 must pass."""
    gmpy2 = real.recipes["gmpy2"]
    release = gmpy2.recipe.release[-1]
    archive = obtain(release.source[0].location, gmpy2.directory, settings.load().downloads, what="gmpy2")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    project = tmp_path / f"gmpy2-{release.version}"
    out = built(engine, cibuildwheel, offered, project, documented()["gmpy2"])
    smoke = (gmpy2.directory / "smoke.py").read_text("utf-8")
    assert proven(out, offered, tmp_path / "fresh", smoke) == ["libgmp-nf10.so"]
