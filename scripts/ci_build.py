"""One build job of the workflow `farm`: build and test what the environment variable JOB says, an entry of `builds`.

What native runners are to build is handed out: `handouts/<tag>/<recipe>.tar`, below the current directory. State goes
to FARM_HOME as always, which is this job's own: publishing to users is another job's right.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farm.cli import run as farm
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """The exit code of the first verb that failed."""
    job = json.loads(os.environ["JOB"])
    words = [*job["recipes"], "--platform", job["platform"], *(f"--python={version}" for version in job["pythons"])]
    if job["recipes"] and (code := farm(["build", *words, "--no-publish"]) or farm(["test", *words])):
        return code
    return hand_out(job, Path("handouts")) if job["handouts"] else 0


def hand_out(job: Mapping[str, Any], folder: Path) -> int:
    """Build the native wheels that the handouts are linked to, and those to test them with; write the handouts."""
    platform = job["platform"]
    with tempfile.TemporaryDirectory() as name:
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", name, str(ROOT)], timeout=600)
        (wheel,) = Path(name).glob("*.whl")
        for row in job["handouts"]:
            linked = row["requires"]
            newest = [release.partition("@")[0] for release in linked]
            place = Path(name, row["tag"], row["recipe"])
            words = [row["recipe"], "--platform", platform, "--python", row["python"], "--farm", str(wheel)]
            code = _natives(linked, platform) or _natives(newest, platform)
            if code := code or farm(["recipe", "cibuildwheel", *words, "--output", str(place)]):
                return code
            _pack(place, folder / row["tag"] / f"{row['recipe']}.tar")
    return 0


def _natives(recipes: list[str], platform: str) -> int:
    return farm(["build", *recipes, "--platform", platform, "--no-publish"]) if recipes else 0


def _pack(place: Path, archive: Path) -> None:
    """One file: what carries it between machines may lose links and permissions."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as packed:
        packed.add(place, arcname=".")


if __name__ == "__main__":
    sys.exit(main())
