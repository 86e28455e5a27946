"""Each build backend builds an extension module for systems that this machine is not, with a pinned Python."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cross_project
import pytest
from build_factory import ROOT, settings

from farm.binary import formats
from farm.catalog import loader
from farm.catalog.values import Catalog

# What the module's file is called after its name, with Python's version in it, and the platform of the wheel.
EXPECTED = {
    "manylinux_2_17_aarch64": (".cpython-{}-aarch64-linux-gnu.so", "linux_aarch64"),
    "win_amd64": (".cp{}-win_amd64.pyd", "win_amd64"),
    "macosx_11_0_arm64": (".cpython-{}-darwin.so", "macosx_11_0_arm64"),
}
# Each backend and each system once in every run; all of them in the slow one.
QUICK = {
    ("setuptools", "manylinux_2_17_aarch64"),
    ("meson-python", "win_amd64"),
    ("scikit-build-core", "macosx_11_0_arm64"),
}
CASES = [
    pytest.param(backend, platform, "cp313", marks=() if (backend, platform) in QUICK else pytest.mark.slow)
    for backend in cross_project.FILES
    for platform in EXPECTED
] + [
    pytest.param("setuptools", platform, python, marks=pytest.mark.slow)
    for python in ("cp311", "cp314")
    for platform in EXPECTED
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return loader.examine(ROOT)[0]


@pytest.mark.parametrize(("backend", "platform", "python"), CASES)
def test_a_backend_builds_for_another_system(
    tmp_path: Path, catalog: Catalog, backend: str, platform: str, python: str
) -> None:
    version = python.removeprefix("cp")
    suffix, tag = EXPECTED[platform]
    suffix = suffix.format(version)
    loaded = cross_project.recipe(tmp_path / "recipe", backend)
    log = tmp_path / "log"
    with cross_project.build(loaded, platform, python, catalog, settings(tmp_path / "home"), log) as built:
        assert built.wheel.name == f"crossed-1.0-{python}-{python}-{tag}.whl"
        with zipfile.ZipFile(built.wheel) as wheel:
            module = wheel.read(f"crossed/_core{suffix}")
    linkage = formats.read_bytes(module, f"crossed/_core{suffix}")
    assert linkage is not None
    assert not any("/farm/" in path for path in (linkage.runpath or ())), linkage
    assert (f"python{version}.dll" in {name.lower() for name in linkage.needed}) == (platform == "win_amd64")


@pytest.mark.parametrize("platform", ["win_arm64", pytest.param("win_amd64", marks=pytest.mark.slow), "win32"])
def test_the_stable_abi_of_windows_links_its_own_library(tmp_path: Path, catalog: Catalog, platform: str) -> None:
    loaded = cross_project.recipe(tmp_path / "recipe", "meson-python", abi3="cp311")
    home = settings(tmp_path / "home")
    with cross_project.build(loaded, platform, "cp311", catalog, home, tmp_path / "log") as built:
        assert built.wheel.name == f"crossed-1.0-cp311-abi3-{platform}.whl"
        with zipfile.ZipFile(built.wheel) as wheel:
            module = wheel.read("crossed/_core.pyd")
    linkage = formats.read_bytes(module, "crossed/_core.pyd")
    assert linkage is not None
    assert [name.lower() for name in linkage.needed if "python" in name.lower()] == ["python3.dll"]
