"""Check workflows and container files: zizmor, the published schemas, and actionlint.

actionlint is installed when it is first needed, by the hash in scripts/actionlint.txt. Where no package index can be
reached, this says so and goes on: the others have looked. With --require (CI) it is a failure.
"""

from __future__ import annotations

import sys
from pathlib import Path

from farm.errors import ProcessError
from farm.process import run

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
REQUIREMENTS = ROOT / "scripts/actionlint.txt"
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
    wanted = REQUIREMENTS.read_text("utf-8")
    stamp = BIN.parent / ".actionlint"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--require-hashes"]
        try:
            run([*pip, "--only-binary=:all:", "--no-deps", "-r", str(REQUIREMENTS)], cwd=ROOT, timeout=600)
        except ProcessError as error:
            reasons = [line.strip() for line in error.output.splitlines() if "ERROR" in line]
            return "", f"{REQUIREMENTS.relative_to(ROOT)} cannot be installed here: {(reasons or [error.what])[-1]}"
        stamp.write_text(wanted, "utf-8")
    return str(BIN / "actionlint"), ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
