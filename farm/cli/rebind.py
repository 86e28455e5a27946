"""Move a built dependent to another ABI epoch of its native wheels, without building it: for maintainers.

The references to the libraries are renamed in place (ELF, PE, Mach-O), Requires-Dist, loader and SBOM are computed for
the new native wheels, an ad-hoc signature is renewed, and the wheel's build tag is raised so that installers prefer the
result. Refused, with nothing written, unless every symbol that the wheel imports is in the new libraries and the audit
finds no new fault. The result is to be tested like a built one.

Whether an ABI break reaches a dependent is another question: ask `farm abi diff` first (docs/rebinding.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli import output

if TYPE_CHECKING:
    from farm.repair.rebind import RebindResult
    from farm.settings import Settings

EPILOG = """examples:
  farm rebind dist/tiny-1.0-cp311-*.whl --to native_t-2!2.0-py3-none-manylinux_2_17_x86_64.whl -w rebound
  farm rebind gmpy2-2.3.2-*.whl --to natives/native_{gmp,mpfr,mpc}-*.whl -w rebound --json

give every native wheel that the dependent needs, those that stay in their epoch too

The result is a file: `farm build` goes on to build the step that it would spare. What a cascade rebinds (`farm cascade
start`), having compared the ABIs and run the tests, stands in for that build (docs/rebinding.md).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help="a wheel that `farm build` or `farm repair` wrote")
    parser.add_argument(
        "--to", nargs="+", type=Path, required=True, metavar="NATIVE_WHEEL", help="what it is to need from now on"
    )
    parser.add_argument("-w", "--wheel-dir", type=Path, required=True, metavar="DIR", help="where the result goes")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:  # noqa: ARG001
    """Rebind the wheel. Raises what `farm.repair.rebind.rebind` does."""
    from farm.errors import UsageError
    from farm.repair.rebind import rebound

    missing = next((path for path in (args.wheel, *args.to) if not path.is_file()), None)
    if missing is not None:
        raise UsageError(f"there is no file {missing}", where="farm rebind", fix="check the path of the wheel")
    result = rebound(args.wheel, _by_distribution(args.to), args.wheel_dir)
    if args.json:
        output.print_json(_row(args.wheel, result))
    else:
        _show(result)
    return 0


def _by_distribution(wheels: list[Path]) -> dict[str, Path]:
    from farm.errors import UsageError
    from farm.wheel import names

    found: dict[str, Path] = {}
    for wheel in wheels:
        project = names.parse(wheel.name).project
        if project in found:
            raise UsageError(
                f"is a second wheel of {project}, beside {found[project]}",
                where=str(wheel),
                fix="give one native wheel of each library with --to",
            )
        found[project] = wheel
    return found


def _row(wheel: Path, result: RebindResult) -> dict[str, Any]:
    return {
        "input": str(wheel),
        "wheel": str(result.wheel),
        "moved": dict(result.moved),
        "requires": list(result.requirements),
        "findings": [output.finding_row(f) for f in result.findings],
    }


def _show(result: RebindResult) -> None:
    print(result.wheel)
    for old, new in result.moved.items():
        print(f"  {old} -> {new}")
    for requirement in result.requirements:
        print(f"  needs {requirement}")
    for finding in result.findings:
        print(f"  {finding.severity}: {finding.file}: {finding.fact}")
