"""Make a wheel use native wheels: shared names, run paths, a loader, computed requirements and the platform tag.

Works on any wheel, with no recipe at hand: on one that was linked to native wheels when it was built, and on one that
carries its own copies (auditwheel's) of libraries that a native wheel may stand for. What is right already stays, so
repairing twice changes nothing.

Native wheels are taken from --native; without it from the Python environment that runs this command; else from the
farm's staging channel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli import output

if TYPE_CHECKING:
    from farm.repair.natives import Natives
    from farm.repair.options import RepairOptions
    from farm.repair.repair import RepairResult
    from farm.settings import Settings

EPILOG = """examples:
  farm repair dist/*.whl -w wheelhouse                      natives installed beside farm
  farm repair gmpy2-2.3.2-*.whl -w out --native wheels/     natives from a directory
  farm repair x.whl -w out --platform manylinux_2_17_x86_64
  farm repair gmpy2.whl -w out --recipe gmpy2 --platform win_amd64      what `farm build` would do to it

as cibuildwheel's repair command (docs/library-authors.md):
  [tool.cibuildwheel.linux]
  before-build = "pip install wheel-farm native-gmp"
  repair-wheel-command = "farm repair {wheel} -w {dest_dir}"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("-w", "--wheel-dir", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument(
        "--native",
        action="append",
        type=Path,
        default=[],
        metavar="PLACE",
        help="a native wheel, a directory of them, or a site directory; may be given often",
    )
    parser.add_argument("--platform", metavar="TAG", help="the platform tag of the result; it is checked")
    parser.add_argument("--recipe", metavar="NAME", help="the wheel is of this recipe: its requirements and build tag")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Repair each wheel; the gate's exit code if a finding is an error. Raises what `repair` raises."""
    from farm.errors import GateError, UsageError
    from farm.model.finding import Severity
    from farm.repair.repair import repair

    missing = next((wheel for wheel in args.wheels if not wheel.is_file()), None)
    if missing is not None:
        raise UsageError(f"there is no file {missing}", where="farm repair", fix="check the path of the wheel")
    natives = _natives(args.native, settings)
    if not len(natives):
        note = "no native wheel was found, so nothing can be shared: name a directory of them with --native"
        print(f"farm repair: {note}", file=sys.stderr)
    asked = {wheel: _options(wheel, args, settings) for wheel in args.wheels}
    results = [(wheel, repair(wheel, args.wheel_dir, natives, options)) for wheel, options in asked.items()]
    if args.json:
        output.print_json([_row(wheel, result) for wheel, result in results])
    else:
        for wheel, result in results:
            _show(wheel, result)
    bad = any(f.severity is Severity.ERROR for _, result in results for f in result.findings)
    return GateError.exit_code if bad else 0


def _natives(places: Sequence[Path], settings: Settings) -> Natives:
    from farm.repair import natives

    if places:
        return natives.load(places)
    installed = natives.load(path for entry in sys.path if (path := Path(entry)).is_dir())
    return installed if len(installed) else natives.load(_published(settings))


def _options(wheel: Path, args: argparse.Namespace, settings: Settings) -> RepairOptions:
    """What is asked for one wheel. Raises UsageError for a recipe that has not the wheel's release."""
    from farm.repair.options import RepairOptions, of_recipe

    if not args.recipe:
        return RepairOptions(platform=args.platform)
    from farm import catalog
    from farm.errors import UsageError
    from farm.plan import selection
    from farm.wheel.names import parse

    loaded, version = catalog.load(settings), parse(wheel.name).version
    ((name, release),) = selection.wanted_recipes(loaded, [f"{args.recipe}@{version}"]).items()
    recipe = loaded.recipes[name].recipe
    if release is None or recipe.kind != "dependent":
        raise UsageError(
            f"{name} is no dependent: native wheels are not repaired", where="--recipe", fix="leave it out"
        )
    return of_recipe(recipe, release, platform=args.platform)


def _published(settings: Settings) -> list[Path]:
    """The native wheels of the staging channel, yanked ones left out."""
    from farm.index.contents import STAGING
    from farm.index.reading import IndexReader

    reader = IndexReader(settings.index)
    generation = reader.current(STAGING)
    files = reader.files_in(generation) if generation is not None else ()
    mine = [file for file in files if file.project.startswith("native-") and file.yanked is None]
    return [reader.root / file.location for file in mine]


def _row(wheel: Path, result: RepairResult) -> dict[str, Any]:
    return {
        "input": str(wheel),
        "wheel": str(result.wheel),
        "changed": result.changed,
        "platform": result.platform,
        "requires": list(result.requirements),
        "redirected": dict(result.redirected),
        "removed": list(result.removed),
        "findings": [output.finding_row(f) for f in result.findings],
    }


def _show(wheel: Path, result: RepairResult) -> None:
    print(f"{result.wheel}" if result.changed else f"{result.wheel} (nothing to change)")
    lines = [f"needs {requirement}" for requirement in result.requirements]
    lines += [f"{old} -> {new}" for old, new in result.redirected.items()]
    lines += [f"without {member}" for member in result.removed]
    for line in lines:
        print(f"  {line}")
    for finding in result.findings:
        print(
            f"{finding.severity}: {wheel.name}: {finding.file}: {finding.fact}\n  fix: {finding.fix}", file=sys.stderr
        )
