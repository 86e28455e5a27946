"""Measure, compare and pin the ABIs of libraries: what programs that were linked to a release rely on.

An ABI is the exported symbols and, where debug information says them, their types and the layouts behind them. It is
measured from a build of its own; what is needed for that is built first.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from farm.cli import output
from farm.errors import GateError, UsageError
from farm.model.finding import Severity
from farm.model.shown import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from farm.catalog import Catalog
    from farm.model.abi import Abi, AbiChange, AbiDifference
    from farm.model.finding import Finding
    from farm.settings import Settings

SHOWN = 20  # changes of one kind, without --all
EPILOG = """examples:
  farm abi check                                 does the newest release of each library keep its pinned ABI?
  farm abi accept zlib                           pin the newest release's ABI: recipes/zlib/abi/
  farm abi accept zlib --exports --platform '*'  on every platform what it exports, where that differs
  farm abi diff gmp@6.2.1 gmp@6.3.0              verdict, and every symbol and type that changed
  farm abi show zlib                             the whole ABI of the newest release, as text
  farm abi symbols zlib 'inflate*'               exported symbols with their types
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print the ABI of a release as canonical text")
    show.add_argument("release", metavar="RECIPE[@VERSION]")
    symbols = actions.add_parser("symbols", help="list exported symbols with their types")
    symbols.add_argument("release", metavar="RECIPE[@VERSION]")
    symbols.add_argument("glob", nargs="?", default="*", metavar="GLOB", help="only names that match")
    diff = actions.add_parser("diff", help="say what changes from one release to another")
    diff.add_argument("older", metavar="RECIPE@VERSION")
    diff.add_argument("newer", metavar="RECIPE@VERSION")
    diff.add_argument("--all", action="store_true", help=f"also more than {SHOWN} changes of one kind")
    check = actions.add_parser("check", help="compare the newest releases with what their recipes pin")
    check.add_argument("recipe", nargs="*", metavar="RECIPE", help="none: every library that pins an ABI")
    accept = actions.add_parser("accept", help="pin the ABI of a release in its recipe")
    accept.add_argument("release", nargs="+", metavar="RECIPE[@VERSION]")
    accept.add_argument(
        "--exports", action="store_true", help="no types: read exports from stored wheels, build nothing"
    )
    accept.add_argument(
        "--platform", action="append", default=[], metavar="P", help="tag or glob; may be repeated; default: as above"
    )
    for action in (show, symbols, diff, check):
        action.add_argument("--platform", metavar="P", help="platform tag; default: this machine's own")
    for action in (show, symbols, diff, check, accept):
        action.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do the action. Raises UsageError, and what building raises."""
    from farm import catalog
    from farm.cli import pinning

    loaded = catalog.load(settings)
    actions = {"show": _show, "symbols": _symbols, "diff": _diff, "check": _check, "accept": pinning.accept}
    return actions[args.action](args, loaded, settings)


def _show(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> int:
    from farm.abi import text

    (abi,) = _abis((args.release,), args, loaded, settings)
    if args.json:
        output.print_json(_document(abi))
    else:
        print(text.write(abi), end="")
    return 0


def _symbols(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> int:
    from fnmatch import fnmatchcase

    (abi,) = _abis((args.release,), args, loaded, settings)
    rows = [row for row in _rows(abi) if fnmatchcase(row["symbol"], args.glob)]
    if args.json:
        output.print_json(rows)
        return 0
    if not rows:
        raise UsageError(f"{abi.recipe} {abi.release} exports nothing that matches {args.glob!r}", fix="widen the glob")
    cells = [(r["symbol"], r["kind"], r["version"] or "-", r["size"] or "-", r["type"] or "not known") for r in rows]
    output.print_table(("symbol", "kind", "version", "bytes", "type"), [tuple(map(str, row)) for row in cells])
    return 0


def _rows(abi: Abi) -> list[dict[str, Any]]:
    from farm.abi.text import signature

    return [
        {
            "library": name,
            "symbol": symbol.name,
            "kind": symbol.kind,
            "version": symbol.version,
            "size": symbol.size,
            "type": signature(library.functions[symbol.name])
            if symbol.name in library.functions
            else library.variables.get(symbol.name, ""),
        }
        for name, library in abi.libraries.items()
        for symbol in library.symbols
    ]


def _diff(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> int:
    from farm.abi.compare import compare
    from farm.cli import measuring

    texts = (args.older, args.newer)
    measuring.check(texts, args.platform, loaded)
    first, second = (loaded.providers[text.partition("@")[0]] for text in texts)
    if first != second:
        raise UsageError(f"{first} and {second} are two libraries", fix="name two releases of one recipe")
    older, newer = _abis(texts, args, loaded, settings)
    found = compare(older, newer)
    if args.json:
        output.print_json(_difference(found))
    else:
        _print(found, everything=args.all)
    return 0


def _check(args: argparse.Namespace, loaded: Catalog, settings: Settings) -> int:
    """Exits with the gate's code if a release breaks what is pinned under its epoch."""
    from farm.abi import baseline
    from farm.gates.abi import judge

    pins = functools.cache(lambda name: baseline.load(loaded.recipes[name].directory, loaded.recipes[name].internal))
    asked = args.recipe or [name for name in loaded.recipes if pins(name).releases]
    rows = []
    for name, abi in zip(asked, _abis(asked, args, loaded, settings), strict=True):
        pinned = pins(abi.recipe).held_to(abi)
        if pinned is None:
            raise UsageError(
                f"{abi.recipe} pins no ABI that {abi.release} on {abi.platform} could be held to",
                fix=f"farm abi accept {name}",
            )
        rows.append((abi, pinned, judge(pinned, abi)))
    if args.json:
        output.print_json([_judged(*row) for row in rows])
    for abi, pinned, findings in rows if not args.json else ():
        print(f"{abi.recipe} {abi.release} against {pinned.release} on {abi.platform}: {_worst(findings)}")
        for finding in findings:
            print(f"  {finding.severity}: {finding.fact}\n    fix: {finding.fix}")
    if not rows and not args.json:
        print("no recipe pins an ABI: `farm abi accept RECIPE` pins one")
    bad = any(finding.severity is Severity.ERROR for _, _, findings in rows for finding in findings)
    return GateError.exit_code if bad else 0


def _worst(findings: Sequence[Finding]) -> str:
    return findings[0].severity if findings else "kept"


def _judged(abi: Abi, pinned: Abi, findings: Sequence[Finding]) -> dict[str, Any]:
    facts = [{"severity": f.severity, "library": f.file, "fact": f.fact, "fix": f.fix} for f in findings]
    return {"recipe": abi.recipe, "release": abi.release, "pinned": pinned.release, "findings": facts}


def _abis(texts: Sequence[str], args: argparse.Namespace, loaded: Catalog, settings: Settings) -> list[Abi]:
    """The ABIs of releases, measured where that was not done before."""
    from farm.cli import measuring

    measuring.check(texts, args.platform, loaded)
    return [measuring.abi_of(text, args.platform, loaded, settings, quiet=args.json) for text in texts]


def _print(found: AbiDifference, *, everything: bool) -> None:
    older, newer = found.older, found.newer
    print(f"{older.recipe} {older.release} -> {newer.release} ({newer.abi_class}): {found.verdict}")
    for name in found.untyped:
        print(f"  types of {name} could not be compared: at least one side has no debug information")
    if found.unknown:
        print(f"  types of {some(sorted(found.unknown), 3)} are not known: of these the names alone were compared")
    groups: dict[tuple[str, str], list[AbiChange]] = {}
    for change in found.changes:
        groups.setdefault((change.verdict, change.kind), []).append(change)
    for (verdict, kind), changes in groups.items():
        print(f"\n{verdict}, {kind}: {len(changes)}")
        shown = changes if everything else changes[:SHOWN]
        for change in shown:
            print(f"  {change.subject}: {change.text}" if change.subject != change.library else f"  {change.text}")
        if len(changes) > len(shown):
            print(f"  and {len(changes) - len(shown)} more (--all)")


def _difference(found: AbiDifference) -> dict[str, Any]:
    return {
        "recipe": found.older.recipe,
        "older": found.older.release,
        "newer": found.newer.release,
        "class": found.newer.abi_class,
        "verdict": found.verdict,
        "untyped": found.untyped,
        "unknown": sorted(found.unknown),
        "changes": [asdict(change) | {"symbols": sorted(change.symbols)} for change in found.changes],
    }


def _document(abi: Abi) -> dict[str, Any]:
    return {
        "recipe": abi.recipe,
        "release": abi.release,
        "class": abi.abi_class,
        "headers": abi.headers,
        "symbols": _rows(abi),
        "types": {
            name: {type_: asdict(layout) for type_, layout in library.types.items()}
            for name, library in abi.libraries.items()
        },
    }
