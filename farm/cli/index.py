"""Build, promote, serve, roll back and prune channels: static indexes that pip and uv install from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli import index_repair, numbers, overlay, overlay_options, words
from farm.cli.output import human_size, print_json, print_table
from farm.errors import INTERRUPTED_EXIT_CODE, IndexFormatError, UsageError
from farm.index.contents import STAGING
from farm.settings import Settings

if TYPE_CHECKING:
    from farm.index.generation import Generation
    from farm.index.generations import Index

EPILOG = """\
examples:
  farm index build --channel staging dist/*.whl     publish wheels as a new generation
  farm index build --channel staging                render all pages of a channel anew
  farm index generations --channel staging          what was served when; `*` marks what is served now
  farm index rollback --channel staging 12          serve generation 12 again
  farm index promote stable                         stable offers exactly what staging serves now
  farm index prune --keep 30                        forget old generations, and the files only they offer
  farm index repair                                 check every hash; make again what is damaged of a generation
  farm index overlay list                           metadata that was corrected after publishing (see its --help)
  farm index serve --port 8000                      http://127.0.0.1:8000/staging/simple/
  farm index serve --with-store                     other farms fetch with FARM_STORE=http://127.0.0.1:8000/store

install from a channel, or from one generation for ever:
  pip install --index-url file://$FARM_HOME/index/staging/simple native-gmp
  pip install --index-url file://$FARM_HOME/index/staging@000012/simple native-gmp
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="publish wheels to a channel; without wheels render its pages anew")
    _common(build, channel=words.channel)
    build.add_argument("wheels", nargs="*", type=Path, metavar="WHEEL")
    build.add_argument("--replace", action="store_true", help="wheels of the same name and other content take over")
    build.add_argument("--comment", type=words.line, default="", help="kept with the generation")
    listing = actions.add_parser("generations", help="list a channel's generations")
    _common(listing)
    back = actions.add_parser("rollback", help="serve another generation that is kept")
    _common(back)
    back.add_argument("number", type=numbers.whole, metavar="NUMBER", help="from `farm index generations`")
    promote = actions.add_parser("promote", help="let another channel offer exactly what a generation offers")
    _common(promote)
    promote.add_argument("to", type=words.channel, metavar="TO", help="the channel that gets a new generation: stable")
    promote.add_argument(
        "number", type=numbers.whole, nargs="?", metavar="NUMBER", help="of --channel; default: the served one"
    )
    promote.add_argument("--comment", type=words.line, default="", help="kept with the new generation")
    promote.add_argument("--drop-overlays", action="store_true", help="even if TO loses metadata overlays of its own")
    prune = actions.add_parser("prune", help="remove old generations; the served and the newest one stay")
    _common(prune)
    prune.add_argument("--keep", type=numbers.whole, required=True, metavar="N", help="how many of the newest stay")
    mend = actions.add_parser("repair", help="check a generation, and make again what is damaged of it")
    _common(mend)
    index_repair.configure(mend)
    overlay_parser = actions.add_parser(
        "overlay",
        help="correct metadata of published wheels: bounds of requirements",
        description=overlay.__doc__,
        epilog=overlay_options.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    overlay_options.configure(overlay_parser)
    serve = actions.add_parser("serve", help="serve all channels over HTTP until interrupted")
    serve.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="default: this machine only")
    serve.add_argument("--port", default=8000, type=numbers.whole, help="0 takes a free one (default: 8000)")
    serve.add_argument("--with-store", action="store_true", help="also hand out all wheels of the store, by build key")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run one of the actions."""
    from farm.index.generations import Index

    if args.action == "serve":
        return _serve(args, Index(settings.index), settings.store if args.with_store else None)
    with_settings = {"overlay": overlay.run, "repair": index_repair.run}
    if args.action in with_settings:
        return with_settings[args.action](args, settings, Index(settings.index))
    actions: dict[str, Callable[[argparse.Namespace, Index], int]] = {
        "build": _build,
        "generations": _generations,
        "rollback": _rollback,
        "promote": _promote,
        "prune": _prune,
    }
    return actions[args.action](args, Index(settings.index))


def _common(parser: argparse.ArgumentParser, channel: Callable[[str], str] = words.given) -> None:
    parser.add_argument("--channel", type=channel, default=STAGING, help=f"default: {STAGING}")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _build(args: argparse.Namespace, index: Index) -> int:
    from farm.index.contents import IndexFile

    before = index.current(args.channel)
    if args.wheels:
        files = [IndexFile(path=path) for path in args.wheels]
        now = index.publish(args.channel, files, comment=args.comment, replace=args.replace)
    else:
        now = index.rebuild(args.channel)
    _show(args, index, now, "nothing changed:" if now == before else "published:")
    return 0


def _generations(args: argparse.Namespace, index: Index) -> int:
    served = index.current(args.channel)
    found = index.generations(args.channel)
    if not found and not args.json:
        print(f"channel {args.channel!r} has no generations yet: `farm index build --channel {args.channel} WHEEL...`")
    if args.json:
        print_json([_facts(index, g, served=served is not None and g.number == served.number) for g in found])
        return 0
    rows = [
        [
            "*" if served is not None and g.number == served.number else "",
            str(g.number),
            g.created[:19].replace("T", " "),
            str(g.files),
            human_size(g.size),
            f"+{len(g.added)} -{len(g.removed)}",
            ", ".join(use.name for use in g.overlays),
            g.comment,
        ]
        for g in reversed(found)
    ]
    print_table(["", "number", "created (UTC)", "files", "size", "changes", "overlays", "comment"], rows)
    return 0


def _rollback(args: argparse.Namespace, index: Index) -> int:
    _show(args, index, index.rollback(args.channel, args.number), "serving:")
    return 0


def _promote(args: argparse.Namespace, index: Index) -> int:
    served = index.current(args.channel)
    if args.number is None and served is None:
        raise IndexFormatError(
            f"channel {args.channel!r} has no generation to promote",
            where=str(index.root),
            fix=f"publish one: `farm build`, or `farm index build --channel {args.channel} WHEEL...`",
        )
    chosen = served if args.number is None else index.generation(args.channel, args.number)
    assert chosen is not None
    before = index.current(args.to)
    now = index.promote(chosen, args.to, comment=args.comment, drop_overlays=args.drop_overlays)
    _show(args, index, now, "nothing changed:" if now == before else f"promoted {chosen.name}:")
    return 0


def _prune(args: argparse.Namespace, index: Index) -> int:
    if args.keep < 1:
        raise UsageError("must be 1 or more", where="--keep", fix="say how many of the newest generations stay")
    gone = index.prune(args.channel, keep=args.keep)
    if args.json:
        print_json([_facts(index, generation, served=False) for generation in gone])
        return 0
    listed = f": {', '.join(generation.name for generation in gone)}" if gone else ""
    print(f"removed {_count(len(gone), 'generation')} of {args.channel}{listed}")
    return 0


def _serve(args: argparse.Namespace, index: Index, store: Path | None) -> int:
    from farm.index.serve import IndexServer
    from farm.store.files import disk_errors
    from farm.store.local import LocalStore

    index.root.mkdir(parents=True, exist_ok=True)
    if store is not None:
        with disk_errors(store):
            LocalStore(store).prepare()  # a store from before there were markers gets one
    try:
        server = IndexServer(index.root, (args.bind, args.port), store=store)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:  # the last two: no host name
        raise UsageError(
            f"cannot listen: {error}", where=f"{args.bind}:{args.port}", fix="choose another --port or --bind"
        ) from error
    with server:
        for channel in index.channels() or (STAGING,):
            print(f"{server.url}/{channel}/simple/", flush=True)
        if store is not None:
            print(f"FARM_STORE={server.url}/store", flush=True)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:  # how serving ends; there is nothing to go on with
            return INTERRUPTED_EXIT_CODE
    return 0


def _show(args: argparse.Namespace, index: Index, generation: Generation, word: str) -> None:
    if args.json:
        print_json(_facts(index, generation, served=True))
        return
    size = human_size(generation.size)
    content = f"{_count(generation.files, 'file')} of {_count(generation.projects, 'project')}"
    print(f"{word} {generation.name}, {content}, {size}")
    print(f"  pip install --index-url {_url(index.root / generation.channel)} ...")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _facts(index: Index, generation: Generation, *, served: bool) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(generation), "served": served, "url": _url(index.path(generation))}


def _url(place: Path) -> str:
    """The index URL of a channel or generation; the ``@`` of a generation may stay readable in a path (RFC 3986)."""
    return (place / "simple").as_uri().replace("%40", "@")
