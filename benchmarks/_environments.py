"""Fresh environments to compare: the farm's staging channel beside the configured package index."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from farm import settings
from farm.cli import run as farm
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent


def farm_environment(
    where: Path, *packages: str, recipes: Sequence[str] = (), base: str | Path = sys.executable
) -> Path:
    """A venv of the Python `base` with packages from the staging channel, built first if need be; returns its python.

    `recipes` are what makes the packages, where their names are others.
    """
    places = settings.load(catalog=ROOT)
    if farm(["--catalog", str(ROOT), "build", "--python", version_of(base), *(recipes or packages)]):
        raise SystemExit("the farm could not build what is to be measured")
    index = f"file://{places.index}/staging/simple"
    return _environment(base, where, "--isolated", "--index-url", index, *packages)


def peer_environment(where: Path, *packages: str, base: str | Path = sys.executable) -> Path:
    """A venv with the same packages from the index that pip is configured for."""
    return _environment(base, where, *packages)


def version_of(python: str | Path) -> str:
    """Such as ``3.13``."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return run([python, "-c", code]).output.strip()


def site_packages(python: Path) -> Path:
    """Where the packages of an environment are."""
    return Path(run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['platlib'])"]).output.strip())


def _environment(base: str | Path, where: Path, *pip_arguments: str) -> Path:
    python = where / "bin" / "python"
    if not python.exists():
        run([base, "-m", "venv", where])
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary=:all:", "--upgrade",
         *pip_arguments])  # fmt: skip
    return python
