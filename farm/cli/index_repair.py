"""`farm index repair`: a generation whose files.json or wheels are damaged, made whole again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from farm.cli import numbers
from farm.cli.output import counted, print_json

if TYPE_CHECKING:
    from farm.index.generations import Index
    from farm.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what it takes beside --channel and --json."""
    parser.add_argument("number", type=numbers.whole, nargs="?", metavar="NUMBER", help="default: the served one")
    parser.add_argument("--dry-run", action="store_true", help="check every hash, say what is damaged, change nothing")


def run(args: argparse.Namespace, settings: Settings, index: Index) -> int:
    """Check, mend, and say what was mended. Raises IndexFormatError for what cannot be had again."""
    from farm.index.restore import restore

    done = restore(index, args.channel, args.number, store=settings.store, dry_run=args.dry_run)
    name = done.generation.name
    if args.json:
        facts = {"generation": name, "files": done.files, "dry_run": args.dry_run, "mended": list(done.mended)}
        print_json(facts)
        return 0
    if not done.mended:
        print(f"{name} is whole: {counted(done.files, 'wheel')}, every hash is right")
        return 0
    print(f"{name}: {'would be made' if args.dry_run else 'made'} again: {', '.join(done.mended)}")
    return 0
