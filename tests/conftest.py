"""For all tests: the environment of whoever runs them chooses neither the farm's places nor the width of tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import containers
import pytest
from databases import postgresql, why_no_postgresql

from farm import catalog, settings
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


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of the module's own."""
    if reason := why_no_postgresql():
        pytest.skip(f"PostgreSQL was not tested: {reason}")
    with postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def real() -> Catalog:
    """The recipes and toolchains of this project."""
    return catalog.load_from(ROOT)


@pytest.fixture
def at(tmp_path: Path) -> Settings:
    """Places of a farm of its own, with an empty cache."""
    return Settings(catalog=tmp_path / "catalog", home=tmp_path / "home", cache=tmp_path / "cache", cores=2)


@pytest.fixture(scope="session")
def engine() -> Iterator[containers.Engine]:
    """podman with the image, removed with all that it kept."""
    if reason := containers.why_not():
        pytest.skip(f"containers cannot run here: {reason}")
    place = Path(tempfile.mkdtemp(prefix="farm-podman-")) / "containers"  # sockets in it have short names
    made = containers.engine(place)
    cache = settings.load().containers
    cache.mkdir(parents=True, exist_ok=True)
    try:
        containers.image(made, cache)
        yield made
    except containers.CannotRunError as error:
        pytest.skip(f"containers cannot run here: {error}")
    finally:
        made.remove()
        place.parent.rmdir()


@pytest.fixture(scope="session")
def farm_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with this farm as a wheel, and all that it needs in the image of `engine`."""
    out = tmp_path_factory.mktemp("farm-wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(ROOT)]
    subprocess.run(pip, check=True, timeout=600)
    (farm,) = out.glob("wheel_farm-*.whl")
    containers.wheels(out, str(farm))
    return out


@pytest.fixture(scope="session")
def cibuildwheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, of the very releases that native runners take."""
    root = tmp_path_factory.mktemp("cibuildwheel")
    venv.create(root, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(root), "install", "-q"]
    pip += ["--require-hashes", "-r", str(ROOT / "scripts/cibuildwheel.txt")]
    subprocess.run(pip, check=True, timeout=600)
    return root / "bin" / "cibuildwheel"
