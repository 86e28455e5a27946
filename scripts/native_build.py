"""Build what `farm recipe cibuildwheel` handed out, test it, and report it for `farm admit`. Standard library only.

Runs on any system, by a Python of the version and processor that is built for, 3.11 or newer; on Linux with docker or
podman (CIBW_CONTAINER_ENGINE), too. HANDOUT is a directory, or a .tar of one. cibuildwheel, and the farm where that
does not run in a container, go into an environment of their own. The wheel and its report `<key>.json` are left in
--output; a build that fails leaves nothing there, and the others are built.

  python scripts/native_build.py handouts/*.tar --runner "windows-11-arm run 17" --output results
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOOLS = HERE / "cibuildwheel.txt"
FORMAT = 1
BROKEN = 12  # as the farm ends when a program fails or runs out of time
TIMEOUT = 5 * 3600


def main(argv: list[str] | None = None) -> int:
    """Build every handout; the first exit code that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("handouts", nargs="+", type=Path, metavar="HANDOUT")
    parser.add_argument("--runner", required=True, help="who does this: service, machine, run")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where wheels and reports go")
    parser.add_argument(
        "--tools", type=Path, default=TOOLS, metavar="FILE", help="cibuildwheel's requirements, by hash"
    )
    parser.add_argument("--no-index", action="store_true", help="tests install from the handout alone")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    args.output = args.output.resolve()
    with tempfile.TemporaryDirectory(prefix="farm-", ignore_cleanup_errors=True) as name:
        place = Path(name).resolve()
        python = _tools(place / "tools", args.tools)
        codes = [_ended(handout, place / str(i), python, args) for i, handout in enumerate(args.handouts)]
    return next((code for code in codes if code), 0)


def _tools(place: Path, requirements: Path) -> Path:
    """An environment with cibuildwheel; its Python."""
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _pip(python, "--require-hashes", "--only-binary=:all:", "-r", str(requirements))
    return python


def _pip(python: Path, *words: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, *words], check=True, timeout=TIMEOUT)


def _ended(handout: Path, work: Path, python: Path, args: argparse.Namespace) -> int:
    """The exit code of one handout. Whatever it dies of, the others are built."""
    try:
        return _build(handout, work, python, args)
    except (OSError, subprocess.SubprocessError, tarfile.TarError, ValueError) as error:
        print(f"{handout}: {error}", file=sys.stderr, flush=True)
        return BROKEN


def _build(handout: Path, work: Path, python: Path, args: argparse.Namespace) -> int:
    """Build and test one handout in the directory `work`."""
    _unpack(handout, work)
    job = json.loads((work / "job.json").read_text("utf-8"))
    if job["format"] != FORMAT:
        sys.exit(f"{handout} is of format {job['format']}, and this script reads {FORMAT}: take both from one farm")
    print(f"{job['steps'][0]['step']}: {job['build']}", flush=True)
    if sys.platform != "linux":  # there it goes into the container
        _pip(python, job["farm"].replace("{project}", str(work)))
    environment = {**os.environ, "FARM_HANDOUT": work.as_posix()}
    environment["PATH"] = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    built = work / "wheels" / "built"
    options = ["--config-file", str(work / job["config"]), "--only", job["build"], "--output-dir", str(built)]
    command = [str(python), "-m", "cibuildwheel", job["package"], *options]
    code = subprocess.run(command, cwd=work, env=environment, timeout=TIMEOUT).returncode
    return code or _tested(job, work, built, args)


def _unpack(handout: Path, work: Path) -> None:
    """A copy to build in."""
    if handout.is_dir():
        shutil.copytree(handout, work, symlinks=True)
        return
    with tarfile.open(handout) as archive:
        archive.extractall(work, filter="data")


def _tested(job: dict[str, Any], work: Path, built: Path, args: argparse.Namespace) -> int:
    """Test the wheel in a fresh environment outside of the build, and leave it beside the report."""
    trial = [sys.executable, str(HERE / "native_trial.py"), "--job", "job.json", "--wheels", "wheels"]
    trial += ["--runner", args.runner, "--reports", str(args.output), "--built", job["steps"][0]["recipe"]]
    code = subprocess.run([*trial, *(["--no-index"] if args.no_index else [])], cwd=work, timeout=TIMEOUT).returncode
    for wheel in built.glob("*.whl"):
        shutil.copy2(wheel, args.output)
    return code


if __name__ == "__main__":
    sys.exit(main())
