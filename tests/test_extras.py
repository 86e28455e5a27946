"""Commands that get what an optional part needs."""

from __future__ import annotations

import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from farm import extras

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_the_command_names_what_the_extra_needs_and_not_the_farm(extra: str) -> None:
    pip, install, *named = shlex.split(extras.install(extra))
    assert (pip, install) == ("pip", "install")
    assert set(map(Requirement, named)) == set(map(Requirement, PROJECT["optional-dependencies"][extra]))


def test_a_farm_that_is_not_installed_is_installed_from_its_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert extras.install("fleet") == "pip install '.[fleet]' in the farm's checkout"


def test_every_extra_that_an_error_names_is_one() -> None:
    used = {
        part.split('"')[1]
        for file in (Path(__file__).parents[1] / "farm").rglob("*.py")
        for part in file.read_text("utf-8").split("extras.install(")[1:]
        if part.startswith('"')
    }
    assert used == {"fleet", "forge", "http", "metrics", "notify", "postgresql", "s3"}
    assert used <= set(PROJECT["optional-dependencies"])
