"""Whole builds of a tiny dependent: from its sdist and a lock file to the raw wheel, by its own backend."""

from __future__ import annotations

import hashlib
import random
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from build_factory import PLATFORM, settings, step, tarball, toolchain

from farm.build import pysdk, workspace
from farm.build.dependent import build_dependent
from farm.build.result import BuiltWheel
from farm.catalog.values import Catalog, LoadedRecipe
from farm.errors import BuildError, MissingToolError
from farm.model.recipe import Recipe
from farm.settings import Settings

TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
PROJECT = '[build-system]\nrequires = ["sprout"]\nbuild-backend = "sprout"\n'
BACKEND = """\
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    assert pathlib.Path("noise.txt").is_file()
    name = "leaf-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("leaf.py", "value = 42")
    return name
"""
TWO_WHEELS = BACKEND.replace(
    "    return name", '    pathlib.Path(folder, "other-1.0-py3-none-any.whl").touch()\n    return name'
)


def leaf(folder: Path, backend: str = BACKEND) -> LoadedRecipe:
    """A dependent whose backend is a wheel beside the recipe; its sdist takes several reads to fetch."""
    folder.mkdir(parents=True)
    wheel = folder / "sprout-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("sprout.py", backend)
        archive.writestr("sprout-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sprout\nVersion: 1.0\n")
        archive.writestr("sprout-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("sprout-1.0.dist-info/RECORD", "")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "lock.txt").write_text(f"--no-index\n--find-links {folder}\nsprout==1.0 --hash=sha256:{sha256}\n")
    noise = random.Random(1).randbytes(600_000).hex()
    source = tarball(folder / "leaf-1.0.tar.gz", {"pyproject.toml": PROJECT, "noise.txt": noise}, top="leaf-1.0/")
    fields = {
        "format": 1,
        "name": "leaf",
        "kind": "dependent",
        "summary": "a tiny dependent",
        "license": "0BSD",
        "license_files": ["pyproject.toml"],
        "release": [{"version": "1.0", "source": [{"location": [{"url": "file:leaf-1.0.tar.gz", "sha256": source}]}]}],
        "requires": {"python": "lock.txt"},
        "build": {"system": "pep517"},
        "products": {"imports": ["leaf"]},
    }
    return LoadedRecipe(recipe=Recipe.model_validate(fields), directory=folder)


def build(recipe: LoadedRecipe, at: Settings, phases: list[str]) -> BuiltWheel:
    nothing = Catalog(root=at.catalog, recipes={}, toolchains={PLATFORM: toolchain()}, providers={})
    sdk = pysdk.sdk(TAG, toolchain(), nothing, at)
    one = replace(step(recipe), id=f"leaf@1.0/{PLATFORM}/{TAG}", kind="dependent", python=TAG)
    return build_dependent(one, recipe, toolchain(), {}, at, sdk, at.logs / "x.log", phases.append)


def test_the_backend_builds_the_wheel_and_downloads_show_how_far_they_are(tmp_path: Path) -> None:
    phases: list[str] = []
    with build(leaf(tmp_path / "recipe"), settings(tmp_path / "home"), phases) as built:
        assert zipfile.ZipFile(built.wheel).read("leaf.py") == b"value = 42"
        assert (built.source / "noise.txt").is_file()
        assert built.epoch_seconds == 1_600_000_000
        root = built.workspace.root
    assert not root.exists()
    assert any(phase.startswith("fetch leaf-1.0.tar.gz ") for phase in phases), phases


def test_a_missing_sandbox_is_told_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.build.sandbox.BWRAP", "no-such-bwrap")
    phases: list[str] = []
    at = settings(tmp_path / "home")
    with pytest.raises(MissingToolError, match="no bubblewrap"):
        build(leaf(tmp_path / "recipe"), at, phases)
    assert phases == []
    assert not at.work.exists()


def test_a_backend_that_leaves_two_wheels_is_refused_and_its_workspace_kept(tmp_path: Path) -> None:
    at = settings(tmp_path / "home")
    with pytest.raises(BuildError, match="left 2 wheels") as caught:
        build(leaf(tmp_path / "recipe", TWO_WHEELS), at, [])
    assert "farm shell" in str(caught.value.fix)
    space = workspace.claim(at, f"leaf@1.0/{PLATFORM}/{TAG}", fresh=False)  # given back, for `farm shell`
    assert sorted(p.name for p in space.out.iterdir()) == ["leaf-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"]
    space.remove()
