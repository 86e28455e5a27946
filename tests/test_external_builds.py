"""Projects outside of the farm build against native-gmp with their own backends, are repaired, installed and imported.

The index is made here with a tiny native-gmp. ``FARM_TEST_NATIVE_INDEX=<a channel's simple/ directory>`` runs the same
tests against the farm's real native-gmp. Backends come from the client's configured index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import native_factory as factory
import pytest

from farm.binary import formats
from farm.index.contents import IndexFile
from farm.index.generations import Index
from farm.repair import natives
from farm.repair.repair import repair
from farm.wheel.archive import WheelArchive

PROJECTS = Path(__file__).parent / "external"


@dataclass(frozen=True)
class NativeIndex:
    """`url` of a simple index that offers native-gmp; `wheels`: a directory with the newest native-gmp's wheel."""

    url: str
    wheels: Path


def _pip(*arguments: str | Path, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def _simple(work: Path) -> Path:
    """A channel with a tiny native-gmp, or the one that the environment names."""
    given = os.environ.get("FARM_TEST_NATIVE_INDEX")
    if given:
        return Path(given).resolve()
    index = Index(work / "index")
    index.publish("staging", [IndexFile(path=factory.tiny_gmp(work).wheel)])
    return work / "index" / "staging" / "simple"


@pytest.fixture(scope="module")
def native_index(tmp_path_factory: pytest.TempPathFactory) -> NativeIndex:
    work = tmp_path_factory.mktemp("native-index")
    url = _simple(work).as_uri()
    wheels = work / "downloaded"
    _pip("download", "-q", "--no-deps", "--no-cache-dir", "--index-url", url, "-d", wheels, "native-gmp", cwd=work)
    return NativeIndex(url=url, wheels=wheels)


@pytest.mark.parametrize("name", ["meson-python", "scikit-build-core", "setuptools"])
def test_project_builds_repairs_and_runs(tmp_path: Path, native_index: NativeIndex, name: str) -> None:
    project, module = tmp_path / name, f"powm_{name.replace('-', '_')}"
    shutil.copytree(PROJECTS / name, project)
    built = tmp_path / "built"
    # pip's own isolated build environment: it gets native-gmp from the farm's index by `build-system.requires`.
    _pip("wheel", "-q", "--no-deps", "--extra-index-url", native_index.url, "-w", built, project, cwd=tmp_path)
    (wheel,) = built.glob("*.whl")
    known = natives.load([native_index.wheels])
    (gmp,) = (library for library in known if library.library.link_name == "gmp")
    assert gmp.library.shared_name in _needed(wheel, tmp_path / "unpacked")

    result = repair(wheel, tmp_path / "repaired", known)
    assert [line for line in result.requirements if line.startswith(f"native-gmp>={gmp.manifest.abi_epoch}!")]

    python = _environment(tmp_path / "venv")
    _pip("--python", python, "install", "-q", "--index-url", native_index.url, result.wheel, cwd=tmp_path)
    code = (
        f"from {module} import *; print(powm(3, 200, 1009), gmp_release(), open('/proc/self/maps').read(), sep='\\n')"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    power, release, *maps = (done.stdout + done.stderr).splitlines()
    assert (power, release) == (str(pow(3, 200, 1009)), gmp.version.base_version.partition("!")[2]), maps[-1]
    mapped = {line.split(maxsplit=5)[-1] for line in maps if "libgmp" in line and ".anchor" not in line}
    assert [Path(path).name for path in mapped] == [gmp.library.shared_name]


def _needed(wheel: Path, out: Path) -> set[str]:
    with WheelArchive.open(wheel) as archive:
        archive.extract(out)
    linkages = (formats.read_file(path) for path in out.rglob("*") if path.is_file())
    return {name for linkage in linkages if linkage is not None for name in linkage.needed}


def _environment(root: Path) -> Path:
    venv.create(root, with_pip=False, symlinks=True)
    return root / "bin" / "python"
