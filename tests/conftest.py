"""For all tests: the environment of whoever runs them chooses neither the farm's places nor the width of tables."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from farm import catalog
from farm.catalog import Catalog
from farm.settings import Settings

ROOT = Path(__file__).parent.parent

# The long tests build into one home that is kept between runs (test_real_libraries).
os.environ.setdefault("FARM_TEST_HOME", os.environ.get("FARM_HOME") or str(ROOT / ".farm"))
for name in ("FARM_HOME", "FARM_CATALOG", "FARM_LEDGER", "FARM_CORES", "FARM_STORE", "FARM_CACHE_LIMIT"):
    os.environ.pop(name, None)
# A shell that starts the tests in its background has them ignore Ctrl-C, and so would the farms that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of pytest-xdist are told a width."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def real() -> Catalog:
    """The recipes and toolchains of this project."""
    return catalog.load_from(ROOT)


@pytest.fixture
def at(tmp_path: Path) -> Settings:
    """Places of a farm of its own, with an empty cache."""
    return Settings(catalog=tmp_path / "catalog", home=tmp_path / "home", cache=tmp_path / "cache", cores=2)
