"""What the workflow `farm` is to build and test for a change: one JSON list per kind of job, as lines of GITHUB_OUTPUT.

`farm plan --json` is asked twice, for the catalog before the change and after it. A recipe is concerned if one of its
steps has a new key; its dependents are concerned with it: they are tested with it, even those that are not built again.

  python scripts/ci_jobs.py --base HEAD^ --output "$GITHUB_OUTPUT"
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from farm import catalog
from farm.model.recipe import Recipe
from farm.plan.effective import matches
from farm.plan.requirements import python_version
from farm.process import run
from farm.settings import load

ROOT = Path(__file__).resolve().parent.parent
NOTHING = "0" * 40  # what a forge names as the commit before a branch's first
PYTHONS = ("3.11", "3.13")
# Where wheels of a platform are tested natively, and the processor of the Python to test with there.
RUNNERS = {
    "macosx_10_13_x86_64": ("macos-15-intel", "x64"),
    "macosx_11_0_arm64": ("macos-15", "arm64"),
    "manylinux_2_17_aarch64": ("ubuntu-24.04-arm", "arm64"),
    "win32": ("windows-2025", "x86"),
    "win_amd64": ("windows-2025", "x64"),
    "win_arm64": ("windows-11-arm", "arm64"),
}
Row = Mapping[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Write `builds`, `natives` and `handouts`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, metavar="REV", help="the commit before the change; all zeros: none")
    parser.add_argument("--output", type=Path, help="append lines to this file instead of printing them")
    args = parser.parse_args(argv)
    now = plan(ROOT)
    before = [] if args.base == NOTHING else _plan_of(args.base)
    concerned = affected(now, before)
    loaded = catalog.load(load(catalog=ROOT))
    facts = {name: recipe.recipe for name, recipe in loaded.recipes.items()}
    rows = [row for row in now if row["recipe"] in concerned]
    there = {id(row) for row in rows if built_there(row, loaded.recipes[row["recipe"]].recipe)}
    here = [row for row in rows if id(row) not in there]
    handed = [row for row in rows if id(row) in there]
    natives = native_jobs(
        here,
        {name: recipe.distribution for name, recipe in facts.items()},
        {name: recipe.products.imports for name, recipe in facts.items()},
        {name: f"recipes/{name}/{recipe.tests.smoke}" for name, recipe in facts.items() if recipe.tests.smoke},
    )
    lines = {"builds": build_jobs(here, handed), "natives": natives, "handouts": handout_jobs(handed)}
    text = "".join(f"{name}={json.dumps(value, separators=(',', ':'))}\n" for name, value in lines.items())
    if args.output is None:
        sys.stdout.write(text)
    else:
        with args.output.open("a", encoding="utf-8") as stream:
            stream.write(text)
    return 0


def plan(place: Path) -> list[Row]:
    """All steps of a catalog, for every platform."""
    words = [f"--python={version}" for version in PYTHONS]
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "farm.cli", "--catalog", str(place), "--home", home]
        lines: list[str] = []
        run([*command, "plan", "--platform", "*", *words, "--json"], on_line=lines.append, cwd=ROOT, timeout=600)
    text = "\n".join(lines)
    rows: list[Row] = json.loads(text[text.index("{") :])["steps"]
    return rows


def _plan_of(revision: str) -> list[Row]:
    """The steps of the catalog as it was; none if steps were built by other rules then."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z^~/._-]*", revision):
        sys.exit(f"{revision!r} is no revision")
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name, "before.tar")
        wanted = ["recipes", "toolchains", "farm/plan/keys.py"]
        run(["git", "archive", "-o", str(archive), revision, *wanted], cwd=ROOT, timeout=60)
        run(["tar", "-xf", str(archive), "-C", name], timeout=60)
        rules = [_rules(place) for place in (ROOT, Path(name))]
        return plan(Path(name)) if rules[0] == rules[1] else []


def _rules(place: Path) -> list[str]:
    return re.findall(r"^BUILD_RULES\b.*$", (place / "farm/plan/keys.py").read_text("utf-8"), re.MULTILINE)


def affected(now: Iterable[Row], before: Iterable[Row]) -> set[str]:
    """The recipes that a change concerns: those with a new key, and all that need one of them."""
    rows = list(now)
    old = {row["key"] for row in before}
    found = {row["recipe"] for row in rows if row["key"] not in old}
    while more := {row["recipe"] for row in rows if _needs(row) & found} - found:
        found |= more
    return found


def _needs(row: Row) -> set[str]:
    return {str(id_).partition("@")[0] for id_ in row["requires"]}


def built_there(row: Row, recipe: Recipe) -> bool:
    """Whether a native runner builds a step: its recipe says so, and there is a machine for it."""
    return row["platform"] in RUNNERS and bool(row["python"]) and matches(row["platform"], recipe.native.platform)


def build_jobs(rows: Iterable[Row], handed: Iterable[Row] = ()) -> list[dict[str, Any]]:
    """One job for each platform: its recipes in plan order, and what is handed out to native runners (`handed`)."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row["platform"], {})[row["recipe"]] = None
    out: dict[str, list[dict[str, Any]]] = {}
    for row in handed:
        out.setdefault(row["platform"], []).append(_handout(row))
    return [
        {
            "platform": platform,
            "recipes": list(found.get(platform, {})),
            "pythons": list(PYTHONS),
            "handouts": out.get(platform, []),
        }
        for platform in sorted(found.keys() | out.keys())
    ]


def _handout(row: Row) -> dict[str, Any]:
    linked = [str(id_).partition("/")[0] for id_ in row["requires"]]
    named = {key: row[key] for key in ("step", "key", "recipe")}
    return {**named, "tag": row["python"], "python": python_version(row["python"]), "requires": linked}


def handout_jobs(handed: Iterable[Row]) -> list[dict[str, Any]]:
    """One job for each platform and Python that builds what it was handed out."""
    pairs = sorted({(row["platform"], row["python"]) for row in handed})
    return [{**_machine(platform), "python": python_version(tag), "tag": tag} for platform, tag in pairs]


def _machine(platform: str) -> dict[str, str]:
    runner, processor = RUNNERS[platform]
    return {"platform": platform, "runner": runner, "processor": processor}


def native_jobs(
    rows: Iterable[Row],
    distributions: Mapping[str, str],
    imports: Mapping[str, Iterable[str]],
    smoke: Mapping[str, str],
) -> list[dict[str, Any]]:
    """One job for each platform and Python that has a native runner; its steps as `scripts/native_trial.py` takes them.

    Dependents only: what a library computes is tested where it is built, and through its dependents.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        name = row["recipe"]
        if row["platform"] in RUNNERS and row["python"] and imports[name]:
            step = {key: row[key] for key in ("step", "key", "recipe", "platform", "python")}
            step |= {"distribution": distributions[name], "imports": list(imports[name]), "smoke": smoke.get(name, "")}
            found.setdefault((row["platform"], row["python"]), []).append(step)
    return [_native_job(platform, tag, steps) for (platform, tag), steps in sorted(found.items())]


def _native_job(platform: str, tag: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_machine(platform), "python": python_version(tag), "steps": steps}


if __name__ == "__main__":
    sys.exit(main())
