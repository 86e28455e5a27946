"""`make demo`: from upstream source to `pip install`, with a short proof at the end."""

from __future__ import annotations

import json
import shutil
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from farm import settings
from farm.cli import run as farm
from farm.cli.output import human_seconds, human_size, print_table
from farm.errors import ProcessError
from farm.process import run

HERE = Path(__file__).resolve().parent
PACKAGES = ("gmpy2", "python-flint")


def main() -> int:
    started = time.monotonic()
    places = settings.load(catalog=HERE.parent)
    print("1. build from upstream source, and publish to the staging channel")
    if code := farm(["--catalog", str(places.catalog), "build", *PACKAGES]):
        return code
    index = places.index / "staging" / "simple"
    work = places.home / "demo"
    shutil.rmtree(work, ignore_errors=True)
    print(f"\n2. pip install --index-url file://{index} {' '.join(PACKAGES)}   (into a fresh environment)")
    python = fresh_environment(work / "venv")
    pip_install(python, "--isolated", "--index-url", f"file://{index}", *PACKAGES)
    print("\n3. the proof")
    ours = proof(python)
    show(ours)
    compare(ours, python, work, index)
    print(f"\nall of this took {human_seconds(time.monotonic() - started)}; a second run only installs and proves")
    return 0 if all(len(paths) == 1 for paths in ours["mapped"].values()) else 1


def fresh_environment(where: Path) -> Path:
    run([sys.executable, "-m", "venv", where])
    return where / "bin" / "python"


def pip_install(python: Path, *args: str) -> None:
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", *args])


def proof(python: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(run([python, "-I", HERE / "proof.py"]).output)
    return facts


def show(facts: dict[str, Any]) -> None:
    installed = {**facts["versions"], **facts["natives"]}
    print("   installed: " + ", ".join(f"{name} {version}" for name, version in installed.items()))
    for what, value in facts["computed"].items():
        print(f"   {what} = {value}")
    for name, paths in facts["mapped"].items():
        copies = "one copy" if len(paths) == 1 else f"{len(paths)} copies"
        print(f"   {name}: {copies} mapped: {', '.join(Path(p).name for p in paths)}")


def compare(ours: dict[str, Any], farm_python: Path, work: Path, index: Path) -> None:
    """Sizes beside PyPI's own wheels, which come through pip's configuration; without them, say so."""
    peers = work / "peers"
    try:
        run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--dest", peers, *(f"{n}=={v}" for n, v in ours["versions"].items())])  # fmt: skip
    except ProcessError as error:
        print(f"   (PyPI's wheels could not be fetched to compare with: {_last_line(error.output)})")
        return
    python = fresh_environment(work / "peer-venv")
    pip_install(python, "--no-index", "--no-deps", *map(str, peers.glob("*.whl")))
    theirs = proof(python)
    wheels = work / "farm-wheels"
    run([farm_python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--isolated",
         "--index-url", f"file://{index}", "--dest", wheels, *PACKAGES])  # fmt: skip
    rows = [
        ["wheels to download", human_size(download_size(wheels)), human_size(download_size(peers))],
        ["unpacked on disk", human_size(unpacked_size(wheels)), human_size(unpacked_size(peers))],
        ["resident after import", human_size(1024 * ours["resident_kb"]), human_size(1024 * theirs["resident_kb"])],
        ["copies of GMP, MPFR mapped", copies(ours), copies(theirs)],
    ]
    print()
    print_table(["gmpy2 + python-flint together", "the farm", "PyPI"], rows)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def download_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.whl"))


def unpacked_size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            total += sum(info.file_size for info in wheel.infolist())
    return total


def copies(facts: dict[str, Any]) -> str:
    return ", ".join(str(len(facts["mapped"][name])) for name in ("gmp", "mpfr"))


if __name__ == "__main__":
    sys.exit(main())
