"""Check wheels against the farm's rules and their platform tag's promises.

Works for any wheel with binaries: Linux, Windows, macOS. Without a recipe, house rules (licenses, leftovers, build
paths, instruction sets without a dispatch list) are warnings; with one they are errors. Exit code 7 if there is an
error. docs/audit.md has all checks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from farm.settings import Settings

if TYPE_CHECKING:
    from farm.catalog import Catalog
    from farm.gates.policy import AuditPolicy
    from farm.model.finding import Finding

EPILOG = """examples:
  farm audit dist/*.whl
  farm audit gmpy2-2.3.2-cp311-cp311-manylinux_2_17_x86_64.whl --native dist/ --recipe gmpy2
  farm audit some.whl --platform manylinux_2_17_x86_64 --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--platform", metavar="TAG", help="hold it to this platform tag instead of its own")
    parser.add_argument(
        "--native",
        action="append",
        default=[],
        type=Path,
        metavar="WHEEL_OR_DIR",
        help="native wheels whose libraries it may need (native wheels among WHEEL count too)",
    )
    parser.add_argument("--recipe", metavar="NAME", help="its recipe; native wheels find theirs by name")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print findings; the gate's exit code if one is an error. Raises UsageError, BinaryFormatError."""
    from farm.cli.output import print_json
    from farm.errors import GateError, UsageError
    from farm.gates.audit import audit_wheel
    from farm.model.finding import Severity

    missing = [wheel for wheel in args.wheels if not wheel.is_file()]
    if missing:
        raise UsageError(f"there is no file {missing[0]}", where="farm audit", fix="check the path of the wheel")
    natives = [*args.native, *(wheel for wheel in args.wheels if wheel.name.startswith("native_"))]
    catalog = _catalog(settings, args.recipe)
    results = []
    for wheel in args.wheels:
        policy = _policy(wheel, args, catalog, natives)
        results.append((wheel, policy, audit_wheel(wheel, policy=policy)))
    errors = sum(f.severity is Severity.ERROR for _, _, findings in results for f in findings)
    if args.json:
        print_json({"ok": not errors, "wheels": [_as_json(*result) for result in results]})
    else:
        for wheel, policy, findings in results:
            _print(wheel, policy, findings)
    return GateError.exit_code if errors else 0


def _catalog(settings: Settings, recipe: str | None) -> Catalog | None:
    """The catalog if there is one. Faults of recipes nobody asked for do not matter here."""
    if not settings.toolchains.is_dir():
        return None
    from farm.catalog import load
    from farm.catalog.loader import examine

    return load(settings) if recipe else examine(settings.catalog)[0]


def _policy(wheel: Path, args: argparse.Namespace, catalog: Catalog | None, natives: list[Path]) -> AuditPolicy:
    from farm.errors import BinaryFormatError, UsageError
    from farm.gates.policy import lowest_platform, policy_for, policy_for_tag, with_libraries
    from farm.wheel.names import parse

    name = parse(wheel.name)
    platform = args.platform or lowest_platform(name.platform.split("."))
    if platform == "any":
        raise BinaryFormatError(
            "has no platform: it is pure Python, there is nothing to audit", where=wheel.name, fix="leave it out"
        )
    others = [native for native in natives if native != wheel]
    recipe = None
    if args.recipe or name.project.startswith("native-"):
        wanted = args.recipe or name.project.removeprefix("native-")
        found = catalog.recipes.get(wanted) if catalog else None
        if found is None and args.recipe:
            raise UsageError(f"there is no recipe {wanted!r}", where="--recipe", fix="`farm recipe list` shows them")
        recipe = found.recipe if found else None
    toolchain = catalog.toolchains.get(platform) if catalog else None
    if toolchain is not None:
        return policy_for(toolchain, recipe, natives=others)
    return with_libraries(policy_for_tag(platform), natives=others)


def _as_json(wheel: Path, policy: AuditPolicy, findings: tuple[Finding, ...]) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "wheel": wheel.name,
        "platform": policy.platform,
        "strict": policy.strict,
        "findings": [asdict(finding) for finding in findings],
    }


def _print(wheel: Path, policy: AuditPolicy, findings: tuple[Finding, ...]) -> None:
    from farm.model.finding import Severity

    counts = [(sum(f.severity is kind for f in findings), kind) for kind in Severity]
    rules = "its recipe and " if policy.strict else ""
    verdict = ", ".join(f"{n} {kind}{'s' * (n != 1)}" for n, kind in counts if n) or "ok"
    print(f"{wheel.name}: {verdict} (held to {rules}{policy.platform})")
    previous = ""
    for finding in findings:
        print(f"  {finding.severity:<7}  {finding.check}: {finding.file}")
        print(f"           {finding.fact}")
        if finding.fix != previous:
            print(f"           fix: {finding.fix}")
        previous = finding.fix
