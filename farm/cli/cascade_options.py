"""The options of `farm cascade`."""

from __future__ import annotations

import argparse
from pathlib import Path

from farm.cli import fleet_options, numbers, words
from farm.index.contents import STAGING


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_start(actions.add_parser("start", help="plan a change and write it down; nothing is built yet"))
    listing = actions.add_parser("list", help="list cascades")
    listing.add_argument("--all", action="store_true", help="those that have ended, too")
    show = actions.add_parser("show", help="say what a cascade did and what is left")
    show.add_argument("--all", action="store_true", help="list every task, not only what failed")
    advance = actions.add_parser("advance", help="carry out what can be carried out now; stage what is done")
    advance.add_argument("--retry", action="store_true", help="try what failed once more")
    advance.add_argument("--wait", action="store_true", help="wait for other processes and for pauses, to the end")
    _at_work(advance)
    promote = actions.add_parser("promote", help="let the channel offer what was staged, by one flip")
    back = actions.add_parser("rollback", help="let the channel offer what it offered before")
    fence = actions.add_parser("fence", help="leave recipes out: they stay on their old wheels for a while")
    abandon = actions.add_parser("abandon", help="give a cascade up; what it built is kept")
    abandon.add_argument("--reason", type=words.line, default="", help="kept with the cascade")
    due = actions.add_parser("run-due", help="for cron: start what is scheduled, advance all")
    _scope(due)
    _at_work(due)
    for one in (show, promote, back, fence, abandon):
        one.add_argument("cascade", type=numbers.whole, metavar="CASCADE", help="its number, from `farm cascade list`")
    advance.add_argument(
        "cascade", type=numbers.whole, nargs="*", metavar="CASCADE", help="default: all that have not ended"
    )
    fence.add_argument("recipe", nargs="+", metavar="RECIPE")
    fence.add_argument("--until", metavar="DATE", help="when it is looked at again: 2026-12-31, or 90d from now")
    fence.add_argument("--reason", type=words.line, default="", help="kept with the cascade, and shown")
    fence.add_argument("--lift", action="store_true", help="take the recipes in again")
    for one in actions.choices.values():
        one.add_argument("--json", action="store_true", help="print one JSON document")


def _configure_start(start: argparse.ArgumentParser) -> None:
    what = start.add_mutually_exclusive_group(required=True)
    what.add_argument("--bump", action="append", metavar="NAME=VERSION", help="a release that a recipe got; repeatable")
    what.add_argument("--toolchain", metavar="PLATFORM", help="the platform's toolchain was changed")
    what.add_argument("--cve", metavar="ID", help="a weakness that recipes were mended for; with --purl")
    what.add_argument("--all", action="store_true", help="all that is not built yet, as a scheduled run does")
    start.add_argument(
        "recipe",
        nargs="*",
        metavar="RECIPE",
        help="with --all or --toolchain: only these, and all that is built against them",
    )
    start.add_argument("--purl", metavar="PURL", help="the component with the weakness: pkg:generic/gmp@6.2.1")
    _scope(start)
    start.add_argument(
        "--suite",
        choices=("smoke", "upstream"),
        default="smoke",
        help="upstream: besides smoke tests, the suites of the projects themselves, where recipes have one",
    )
    start.add_argument("--before", type=Path, metavar="DIR", help="the catalog before the change (a git worktree)")
    start.add_argument(
        "--priority", type=numbers.whole, help="of two that touch the same, the higher goes first; security: 100"
    )
    start.add_argument("--reason", type=words.line, default="", help="kept with the cascade, and shown")


def _scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--platform", action="append", default=[], metavar="P", help="as for `farm plan`")
    parser.add_argument("--python", action="append", default=[], metavar="X.Y", help="as for `farm plan`")
    parser.add_argument(
        "--channel", type=words.channel, default=STAGING, help=f"that gets it in the end; default: {STAGING}"
    )


def _at_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=numbers.whole, metavar="N", help="tasks at once (default: 1; with --broker 64)")
    fleet_options.configure_broker(parser)
    parser.add_argument("--no-sandbox", action="store_true", help="build without bubblewrap: nothing is hidden")
