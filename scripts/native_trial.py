"""Test wheels on the machine they are for, and write a report of each for `farm admit`. Standard library only.

Runs on any system with Python 3.11: the farm need not be there. JOB is one entry of what `scripts/ci_jobs.py`
prints: the steps of one platform and Python. The wheels of the steps, and the native wheels they need, lie in one
directory; a wheel that was built here is named with --built.

  python scripts/native_trial.py --job job.json --wheels wheelhouse --runner "windows-2022 run 17" --reports reports
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

FAILED = 13  # as `farm test` ends
TIMEOUT = 1800


def main(argv: list[str] | None = None) -> int:
    """Test every step of the job; 13 if a test failed. Its report is written all the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", type=Path, help="a file with the job; default: the environment variable JOB")
    parser.add_argument("--wheels", type=Path, required=True, metavar="DIR", help="holds all wheels")
    parser.add_argument("--runner", required=True, help="who does this: service, machine, run")
    parser.add_argument("--reports", type=Path, required=True, metavar="DIR", help="where reports go")
    parser.add_argument("--built", action="append", default=[], metavar="RECIPE", help="its wheel was built here")
    parser.add_argument("--no-index", action="store_true", help="install from --wheels alone")
    args = parser.parse_args(argv)
    text = args.job.read_text("utf-8") if args.job else os.environ["JOB"]
    args.wheels = args.wheels.resolve()  # tests run elsewhere
    args.reports.mkdir(parents=True, exist_ok=True)
    outcomes = [_step(step, args) for step in json.loads(text)["steps"]]
    return FAILED if "failed" in outcomes else 0


def _step(step: dict[str, Any], args: argparse.Namespace) -> str:
    wheel = _wheel(step, args.wheels)
    outcome, reason = _tested(step, wheel, args)
    report = {
        "format": 1,
        "step": step["step"],
        "key": step["key"],
        "wheel": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "runner": args.runner,
        "built": step["recipe"] in args.built,
        "verdicts": [{"suite": "smoke", "outcome": outcome, "reason": reason}],
    }
    _write(args.reports / f"{step['key']}.json", report)
    print(f"{step['step']}: {outcome}", flush=True)
    return outcome


def _wheel(step: dict[str, Any], folder: Path) -> Path:
    """The wheel of a step. The directory may hold those of other recipes, Pythons and platforms."""
    name = step["distribution"].replace("-", "_")
    python = step["python"] or "py3"
    found = [w for w in folder.rglob(f"{name}-*.whl") if w.stem.endswith(step["platform"]) and f"-{python}-" in w.name]
    if len(found) != 1:
        sys.exit(f"{folder} holds {len(found)} wheels of {step['step']}, expected one")
    return found[0]


def _tested(step: dict[str, Any], wheel: Path, args: argparse.Namespace) -> tuple[str, str]:
    """Install into a fresh environment, import, run the smoke program: how that ended, and why if not well."""
    with tempfile.TemporaryDirectory() as name:
        venv.create(name, with_pip=False, symlinks=os.name != "nt")
        python = Path(name, "Scripts", "python.exe") if os.name == "nt" else Path(name, "bin", "python")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--only-binary=:all:"]
        places = sorted({str(found.parent) for found in args.wheels.rglob("*.whl")})
        pip += [*(f"--find-links={place}" for place in places), *(["--no-index"] if args.no_index else [])]
        commands = [[*pip, str(wheel)]]
        commands += [[str(python), "-I", "-c", f"import {module}"] for module in step["imports"]]
        commands += [[str(python), str(Path(step["smoke"]).resolve())]] if step["smoke"] else []
        for command in commands:
            done = subprocess.run(command, cwd=name, capture_output=True, text=True, timeout=TIMEOUT)
            if done.returncode:
                print(done.stdout + done.stderr, file=sys.stderr)
                return "failed", (done.stdout + done.stderr).strip()[-2000:] or f"exit code {done.returncode}"
    return "passed", ""


def _write(file: Path, report: dict[str, Any]) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    temporary.replace(file)


if __name__ == "__main__":
    sys.exit(main())
