"""Unpack a native wheel, and those it needs, into a plain prefix: include/, lib/, lib/pkgconfig/, lib/cmake/.

For C and C++ projects that want the very library that Python packages use, and for build systems that look for it in
a prefix. The prefix may be moved as a whole. Run paths are set so that the libraries find each other there.

The native wheels are taken from --native or --channel; without either from the Python environment that runs this
command; else from the farm's staging channel.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from farm.cli.output import print_json
from farm.errors import UsageError
from farm.index.contents import STAGING

if TYPE_CHECKING:
    from farm.build.fetched import Offered
    from farm.settings import Settings

EPILOG = """examples:
  farm fetch gmp --prefix ./deps
  farm fetch mpc --prefix ./deps --channel stable --platform manylinux_2_17_x86_64
  pip install native-mpc && farm fetch mpc --prefix .local          what is installed beside farm
  farm fetch gmp --prefix ./deps --native wheels/                  from a directory of wheels
  cc prog.c $(PKG_CONFIG_PATH=deps/lib/pkgconfig pkg-config --cflags --libs gmp) -Wl,-rpath,$PWD/deps/lib
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("name", metavar="NAME", help="a library's recipe, or its distribution (native-gmp)")
    parser.add_argument("--prefix", type=Path, required=True, metavar="DIR", help="where to; is made if missing")
    parser.add_argument("--platform", metavar="P", help="platform tag, if the channel holds several")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--channel", metavar="C", help="take it from this channel of the farm")
    place.add_argument(
        "--native",
        action="append",
        type=Path,
        default=[],
        metavar="PLACE",
        help="a native wheel, a directory of them, or a site directory; may be given often",
    )
    parser.add_argument("--no-deps", action="store_true", help="without the native wheels it needs")
    parser.add_argument("--json", action="store_true", help="print what was unpacked as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Unpack. Raises UsageError, IndexFormatError, BinaryFormatError."""
    from farm.build import fetched

    offered = _offered(args, settings)
    chosen = fetched.choose(offered, args.name, platform=args.platform or "", with_needed=not args.no_deps)
    written = fetched.unpack(chosen, args.prefix)
    if args.json:
        print_json({"prefix": str(args.prefix.resolve()), "wheels": [wheel.path.name for wheel in chosen]})
        return 0
    for wheel in chosen:
        print(f"{wheel.manifest.distribution} {wheel.manifest.version} ({wheel.manifest.platform})")
    print(f"{written} files in {args.prefix}", file=sys.stderr)
    return 0


def _offered(args: argparse.Namespace, settings: Settings) -> tuple[Offered, ...]:
    """The native wheels to choose from. Raises UsageError if there is none."""
    from farm.build import fetched

    if not args.channel:
        places = args.native or [path for entry in sys.path if (path := Path(entry)).is_dir()]
        found = fetched.at_hand(places)
        if found:
            return found
        if args.native:
            where = ", ".join(str(place) for place in args.native)
            raise UsageError("holds no native wheel", where=where, fix="name a place that does with --native")
    channel = args.channel or STAGING
    offered = fetched.offered(settings.index, channel)
    if not offered:
        raise UsageError(
            f"the channel {channel} holds no native wheel",
            where=str(settings.index),
            fix=f"farm build {args.name}, or pip install native-{args.name.removeprefix('native-')}",
        )
    return offered
