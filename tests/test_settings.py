"""Where things are: asked once, from the environment that is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm import settings
from farm.errors import UsageError

URL = "postgresql://ledger.invalid/farm"


def test_the_ledger_is_in_the_home_unless_one_is_named(tmp_path: Path) -> None:
    at = settings.load(catalog=tmp_path, home=tmp_path / "home", environ={})
    assert at.ledger == tmp_path / "home" / "ledger.sqlite"
    assert settings.load(catalog=tmp_path, environ={"FARM_LEDGER": URL}).ledger == URL


def test_the_process_environment_does_not_get_into_settings_that_were_given_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_LEDGER", URL)
    assert settings.load(catalog=tmp_path, home=tmp_path, environ={}).ledger == tmp_path / "ledger.sqlite"
    at = settings.load(catalog=tmp_path)
    monkeypatch.delenv("FARM_LEDGER")
    assert at.ledger == URL, "one command has one ledger"


@pytest.mark.parametrize("text", ["0", "-1", "²", "x", "9" * 30])
def test_cores_that_are_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FARM_CORES"):
        settings.load(catalog=tmp_path, environ={"FARM_CORES": text})


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="current directory is gone"):
        settings.load(environ={})
