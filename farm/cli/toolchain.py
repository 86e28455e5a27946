"""List and check toolchains and sysroots: what makes each platform's binaries, and what they run in here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from farm.cli import output
from farm.errors import FarmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from farm.catalog.values import Catalog
    from farm.model.sysroot import Sysroot
    from farm.model.toolchain import Toolchain
    from farm.settings import Settings

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

    chosen = _chosen(catalog.load(settings).toolchains, args.platform)
    answers = [(toolchain, *_try(toolchain, settings)) for toolchain in chosen]
    if args.json:
        output.print_json([{**_row(t), "ok": error is None, "detail": said} for t, said, error in answers])
    else:
        cells = [(t.platform, "broken" if error else "ok", said) for t, said, error in answers]
        output.print_table(("platform", "state", "detail"), cells)
    return next((error.exit_code for _, _, error in answers if error), 0)


def _chosen(toolchains: Mapping[str, Toolchain], globs: Sequence[str]) -> list[Toolchain]:
    """The toolchains of platforms that match; all if there are no globs. Raises UsageError for one without a match."""
    from farm.plan.effective import matches

    for glob in globs:
        if not any(matches(platform, (glob,)) for platform in toolchains):
            raise UsageError(f"there is no platform {glob!r}", fix="`farm toolchain list` shows them")
    return [toolchain for platform, toolchain in toolchains.items() if not globs or matches(platform, globs)]


def _try(toolchain: Toolchain, settings: Settings) -> tuple[str, FarmError | None]:
    """Set it up as a build would, which compiles and links once. What was found, and the error if it does not work."""
    from farm.build.toolchain import materialise

    try:
        tools = materialise(toolchain, settings)
    except FarmError as error:
        return str(error).replace("\n", " "), error
    return str(tools.root), None


def _sysroot(args: argparse.Namespace, settings: Settings) -> int:
    from fnmatch import fnmatchcase
    from functools import partial

    from farm import catalog

    sysroots = catalog.load(settings).sysroots
    for glob in args.name:
        if not any(fnmatchcase(name, glob) for name in sysroots):
            raise UsageError(f"there is no sysroot {glob!r}", fix=f"there are {', '.join(sysroots) or 'none'}")
    chosen = [s for n, s in sysroots.items() if not args.name or any(fnmatchcase(n, glob) for glob in args.name)]
    fetch_or_update = partial(_update_sysroot, expired=args.expired) if args.update else _fetch_sysroot
    answers = [(sysroot, *_answer(fetch_or_update, sysroot, settings)) for sysroot in chosen]
    if args.json:
        output.print_json([{"name": s.name, "ok": error is None, "detail": said} for s, said, error in answers])
    else:
        output.print_table(
            ("sysroot", "state", "detail"), [(s.name, "broken" if error else "ok", said) for s, said, error in answers]
        )
    return next((error.exit_code for _, _, error in answers if error), 0)


def _python(args: argparse.Namespace, settings: Settings) -> int:
    from farm import catalog
    from farm.build import testpython
    from farm.plan.selection import python_tag

    loaded = catalog.load(settings)
    only = {python_tag(text) for text in args.python}
    pairs = [
        (tag, toolchain)
        for toolchain in _chosen(loaded.toolchains, args.platform)
        for tag in testpython.described(loaded, toolchain.platform)
        if not only or tag in only
    ]
    answers = []
    for tag, toolchain in pairs:
        said, error = _made(tag, toolchain, loaded, settings)
        answers.append((f"{tag} {toolchain.platform}", said, error))
    if args.json:
        output.print_json([{"name": n, "ok": error is None, "detail": said} for n, said, error in answers])
    else:
        cells = [(name, "broken" if error else "ok", said) for name, said, error in answers]
        output.print_table(("python", "state", "detail"), cells)
    return next((error.exit_code for _, _, error in answers if error), 0)


def _made(tag: str, toolchain: Toolchain, loaded: Catalog, settings: Settings) -> tuple[str, FarmError | None]:
    from farm.build import testpython

    try:
        return str(testpython.materialise(tag, toolchain, loaded, settings).root), None
    except FarmError as error:
        return str(error).replace("\n", " "), error


def _answer(
    act: Callable[[Sysroot, Settings], str], sysroot: Sysroot, settings: Settings
) -> tuple[str, FarmError | None]:
    try:
        return act(sysroot, settings), None
    except FarmError as error:
        return str(error).replace("\n", " "), error


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
