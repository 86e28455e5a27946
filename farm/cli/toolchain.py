"""List and check toolchains and sysroots: what makes each platform's binaries, and what they run in here."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from farm.cli import output
from farm.errors import FarmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from farm.catalog.values import Catalog
    from farm.model.sysroot import Sysroot
    from farm.model.toolchain import Toolchain
    from farm.settings import Settings

_T = TypeVar("_T")
_Answer = tuple[str, FarmError | None]  # what is to be said, and the error if it did not work

EPILOG = """examples:
  farm toolchain list
  farm toolchain check                          fetch every pinned compiler and try it
  farm toolchain check manylinux_2_17_x86_64 --json
  farm toolchain sysroot 'debian-arm64*'        fetch packages of another system, for runners and SDKs
  farm toolchain sysroot debian-arm64 --update  pin the packages that the mirror has today
  farm toolchain python 'musllinux*'            make the interpreters that tests run with on these platforms
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show all toolchains")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    check = actions.add_parser("check", help="fetch the compiler if it is missing, and set the toolchain up")
    check.add_argument("platform", nargs="*", metavar="P", help="platform tags or globs; none: all")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    sysroot = actions.add_parser("sysroot", help="fetch sysroots, or renew their pins")
    sysroot.add_argument("name", nargs="*", metavar="NAME", help="names or globs of toolchains/sysroots/; none: all")
    sysroot.add_argument("--update", action="store_true", help="write the mirror's present packages into the files")
    sysroot.add_argument("--expired", action="store_true", help="take a signed index whose validity is over")
    sysroot.add_argument("--json", action="store_true", help="print one JSON document")
    python = actions.add_parser("python", help="make the interpreters for tests that cannot be fetched as they are")
    python.add_argument("platform", nargs="*", metavar="P", help="platform tags or globs; none: all")
    python.add_argument("--python", action="append", default=[], metavar="X.Y", help="only this version; repeatable")
    python.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do the action. Raises UsageError, CatalogError, and what fetching raises."""
    actions = {"list": _list, "check": _check, "sysroot": _sysroot, "python": _python}
    return actions[args.action](args, settings)


def _list(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog

    rows = [_row(toolchain) for toolchain in catalog.load(settings).toolchains.values()]
    if args.json:
        output.print_json(rows)
    else:
        cells = [(r["platform"], r["compiler"], r["target"], r["isa"], r["runner"]) for r in rows]
        output.print_table(("platform", "compiler", "target", "instruction set", "runner"), cells)
    return 0


def _row(toolchain: Toolchain) -> dict[str, Any]:
    compiler = toolchain.compiler
    return {
        "platform": toolchain.platform,
        "compiler": f"{compiler.kind} {compiler.version}",
        "target": compiler.target,
        "isa": toolchain.isa,
        "floor": list(toolchain.floor),
        "binary": toolchain.binary,
        "runner": toolchain.run.kind,
    }


def _check(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog

    chosen = _platforms(catalog.load(settings).toolchains, args.platform)
    return _tell("platform", [(_row(t), _tried(partial(_set_up, t, settings))) for t in chosen], args)


def _platforms(toolchains: Mapping[str, Toolchain], globs: Sequence[str]) -> list[Toolchain]:
    """The toolchains of platforms that match; all if there are no globs. Raises UsageError for one without a match."""
    return _chosen(toolchains, globs, "platform", fix="`farm toolchain list` shows them")


def _chosen(found: Mapping[str, _T], globs: Sequence[str], kind: str, *, fix: str) -> list[_T]:
    from farm.plan.effective import matches

    for glob in globs:
        if not any(matches(name, (glob,)) for name in found):
            raise UsageError(f"there is no {kind} {glob!r}", fix=fix)
    return [value for name, value in found.items() if not globs or matches(name, globs)]


def _tried(act: Callable[[], str]) -> _Answer:
    try:
        return act(), None
    except FarmError as error:
        return str(error).replace("\n", " "), error


def _tell(kind: str, answers: Sequence[tuple[dict[str, Any], _Answer]], args: argparse.Namespace) -> int:
    """Print what came of each, whose first fact is its name; the exit code is that of the first error."""
    if args.json:
        output.print_json([{**facts, "ok": error is None, "detail": said} for facts, (said, error) in answers])
    else:
        cells = [(next(iter(facts.values())), "broken" if error else "ok", said) for facts, (said, error) in answers]
        output.print_table((kind, "state", "detail"), cells)
    return next((error.exit_code for _, (_, error) in answers if error), 0)


def _sysroot(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog

    sysroots = catalog.load(settings).sysroots
    act = partial(_update_sysroot, expired=args.expired) if args.update else _fetch_sysroot
    chosen = _chosen(sysroots, args.name, "sysroot", fix=f"there are {', '.join(sysroots) or 'none'}")
    return _tell("sysroot", [({"name": s.name}, _tried(partial(act, s, settings))) for s in chosen], args)


def _python(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog
    from farm.build import testpython
    from farm.plan.selection import python_tag

    loaded = catalog.load(settings)
    only = {python_tag(text) for text in args.python}
    if unknown := sorted(only - loaded.pythons.keys()):
        raise UsageError(
            f"no file in toolchains/pythons/ describes {unknown[0]}",
            where="--python",
            fix=f"those that are described are {', '.join(sorted(loaded.pythons))}",
        )
    answers = [
        ({"name": f"{tag} {toolchain.platform}"}, _tried(partial(_make_python, tag, toolchain, loaded, settings)))
        for toolchain in _platforms(loaded.toolchains, args.platform)
        for tag in testpython.described(loaded, toolchain.platform)
        if not only or tag in only
    ]
    return _tell("python", answers, args)


def _make_python(tag: str, toolchain: Toolchain, loaded: Catalog, settings: Settings) -> str:
    from farm.build import testpython

    return str(testpython.materialise(tag, toolchain, loaded, settings).root)


def _set_up(toolchain: Toolchain, settings: Settings) -> str:
    """As a build would, which compiles and links once."""
    from farm.build.toolchain import materialise

    return str(materialise(toolchain, settings).root)


def _fetch_sysroot(sysroot: Sysroot, settings: Settings) -> str:
    from farm.sysroot import materialise

    return str(materialise(sysroot, settings))


def _update_sysroot(sysroot: Sysroot, settings: Settings, *, expired: bool) -> str:
    from farm.store.files import write_atomic
    from farm.sysroot import renew

    file = settings.toolchains / "sysroots" / f"{sysroot.name}.toml"
    renewed = renew.renew(sysroot, settings, accept_expired=expired)
    write_atomic(file, renew.render(renewed.sysroot, file.read_text("utf-8")).encode())
    return f"new pins: {', '.join(renewed.changed)}" if renewed.changed else "is up to date"
