"""Write the static index of 20,000 files: the farm against dumb-pypi, in one run.

Whole processes on both sides, from a list of files to pages on disk (HTML and JSON). The farm's figure includes making
them durable and flipping the channel. `publish` is what happens every day instead: one new wheel in that channel.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from farm.errors import ProcessError
from farm.index import pages
from farm.index.contents import Contents, PublishedFile
from farm.index.generation import Generation
from farm.index.generations import Index
from farm.process import Completed, run
from farm.wheel import metadata, names
from farm.wheel.pack import pack

RENDER = """
import sys; from pathlib import Path
from farm.index.generations import Index
index = Index(Path(sys.argv[1])); index.promote(index.generation("seed", 1), "staging")
"""
PUBLISH = """
import sys; from pathlib import Path
from farm.index.contents import IndexFile
from farm.index.generations import Index
Index(Path(sys.argv[1])).publish("staging", [IndexFile(path=Path(sys.argv[2]))])
"""
PLATFORMS = (
    "manylinux_2_17_x86_64",
    "manylinux_2_17_aarch64",
    "musllinux_1_2_x86_64",
    "win_amd64",
    "macosx_11_0_arm64",
)


def some_files(count: int) -> list[PublishedFile]:
    """Native wheels: 5 platforms x 8 versions per project."""
    made = []
    for i in range(count):
        project, version, platform = i // 40, i // 5 % 8, PLATFORMS[i % 5]
        filename = f"native_thing{project}-10!1.{version}.0-py3-none-{platform}.whl"
        digest = hashlib.sha256(filename.encode()).hexdigest()
        made.append(
            PublishedFile(
                project=f"native-thing{project}",
                filename=filename,
                version=f"10!1.{version}.0",
                sha256=digest,
                size=1_000_000 + i,
                requires_python=">=3.9",
                metadata_sha256=hashlib.sha256(digest.encode()).hexdigest(),
                uploaded="2026-11-21T09:00:00.000000Z",
            )
        )
    return made


def seed(root: Path, files: list[PublishedFile]) -> None:
    """A generation of another channel that holds these files, to promote from."""
    generation = Generation(
        channel="seed", number=1, parent=0, created="2026-11-21T09:00:00.000000Z", comment="", files=len(files),
        projects=len({f.project for f in files}), size=0, pages=0,
    )  # fmt: skip
    contents = Contents(files={file.filename: file for file in files})
    pages.write(Index(root).path(generation), generation, contents, reuse=None, old=Contents())


def one_wheel(folder: Path) -> Path:
    """A new release of a project that is there."""
    name = names.parse("native_thing7-10!2.0.0-py3-none-manylinux_2_17_x86_64.whl")
    info = folder / "tree" / name.dist_info
    info.mkdir(parents=True)
    (info / "METADATA").write_bytes(metadata.make_metadata([("Name", name.project), ("Version", name.version)]))
    (info / "WHEEL").write_bytes(metadata.make_wheel_file(name, generator="benchmark"))
    return pack(folder / "tree", name.filename, folder, epoch_seconds=0)


def dumb_pypi(folder: Path, files: list[PublishedFile], rounds: int) -> list[Completed] | None:
    """The peer, or None where pip cannot get it. It refuses names with a version epoch, so its files have none."""
    python = folder / "peer" / "bin" / "python"
    try:
        run([sys.executable, "-m", "venv", folder / "peer"])
        run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "dumb-pypi"], env=dict(os.environ))
    except ProcessError:
        return None
    listing = folder / "packages.json"
    rows = (
        {
            "filename": f.filename.replace("-10!", "-"),
            "hash": f"sha256={f.sha256}",
            "requires_python": f.requires_python,
            "upload_timestamp": 1763715600,
            "core_metadata": f"sha256={f.metadata_sha256}",
        }
        for f in files
    )
    listing.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = []
    for _ in range(rounds):
        out = folder / "dumb"
        command = [
            python,
            "-m",
            "dumb_pypi.main",
            "--package-list-json",
            listing,
            "--packages-url",
            "../../files/",
            "--no-per-release-json",
        ]  # the farm writes none either
        done.append(run([*map(str, command), "--output-dir", out], env=dict(os.environ)))
        written = sum(1 for _ in (out / "simple").glob("*/index.html"))
        if written != len({f.project for f in files}):
            raise SystemExit(f"dumb-pypi wrote {written} project pages: the comparison would be void")
        shutil.rmtree(out)
    return done


def farm_full(folder: Path, files: list[PublishedFile], rounds: int) -> tuple[list[Completed], list[Completed]]:
    """All pages, and then one more wheel."""
    wheel = one_wheel(folder)
    full, publish = [], []
    for i in range(rounds):
        root = folder / f"index{i}"
        seed(root, files)
        os.sync()
        full.append(run([sys.executable, "-c", RENDER, root]))
        publish.append(run([sys.executable, "-c", PUBLISH, root, wheel]))
        shutil.rmtree(root)
    return full, publish


def _median(runs: list[Completed]) -> dict[str, float]:
    return {
        "wall": statistics.median(done.seconds for done in runs),
        "cpu": statistics.median(done.cpu_seconds for done in runs),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    files = some_files(args.files)
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        full, publish = farm_full(Path(name), files, args.rounds)
        results["farm"], results["publish"] = _median(full), _median(publish)
        peer = dumb_pypi(Path(name), files, min(3, args.rounds))
    if peer is not None:
        results["dumb_pypi"] = _median(peer)
        results["ratio"] = {unit: results["dumb_pypi"][unit] / results["farm"][unit] for unit in ("wall", "cpu")}
    if args.json:
        print(json.dumps({"files": args.files, **results}, indent=2))
        return 0
    print(f"index of {args.files} files; seconds, median of whole processes   wall     CPU")
    for key in ("dumb_pypi", "farm", "publish"):
        if key in results:
            print(f"  {key:56s} {results[key]['wall']:7.3f} {results[key]['cpu']:7.3f}")
    if peer is None:
        print("  dumb-pypi could not be installed; its figure elsewhere was 2.8 s CPU")
    else:
        print(f"  {'ratio dumb_pypi : farm':56s} {results['ratio']['wall']:6.1f}x {results['ratio']['cpu']:6.1f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
