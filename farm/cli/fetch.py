"""Unpack a native wheel, and those it needs, into a plain prefix: include/, lib/, lib/pkgconfig/, lib/cmake/.

For C and C++ projects that want the very library that Python packages use. The wheels come from a channel of this
farm; the prefix may be moved as a whole. Run paths are set so that the libraries find each other there.
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
    from farm.settings import Settings

EPILOG = """examples:
  farm fetch gmp --prefix ./deps
  farm fetch mpc --prefix ./deps --channel stable --platform manylinux_2_17_x86_64
  cc prog.c $(PKG_CONFIG_PATH=deps/lib/pkgconfig pkg-config --cflags --libs gmp) -Wl,-rpath,$PWD/deps/lib
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("name", metavar="NAME", help="a library's recipe, or its distribution (native-gmp)")
    parser.add_argument("--prefix", type=Path, required=True, metavar="DIR", help="where to; is made if missing")
    parser.add_argument("--platform", default="", metavar="P", help="platform tag, if the channel holds several")
    parser.add_argument("--channel", default=STAGING, help=f"take it from this channel (default: {STAGING})")
    parser.add_argument("--no-deps", action="store_true", help="without the native wheels it needs")
    parser.add_argument("--json", action="store_true", help="print what was unpacked as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Unpack. Raises UsageError, IndexFormatError, BinaryFormatError."""
    from farm.build import fetched

    offered = fetched.offered(settings.index, args.channel)
    if not offered:
        raise UsageError(
            f"the channel {args.channel} holds no native wheel",
            where=str(settings.index),
            fix=f"farm build {args.name}",
        )
    chosen = fetched.choose(offered, args.name, platform=args.platform, with_needed=not args.no_deps)
    written = fetched.unpack(chosen, args.prefix)
    if args.json:
        print_json({"prefix": str(args.prefix.resolve()), "wheels": [wheel.path.name for wheel in chosen]})
        return 0
    for wheel in chosen:
        print(f"{wheel.manifest.distribution} {wheel.manifest.version} ({wheel.manifest.platform})")
    print(f"{written} files in {args.prefix}", file=sys.stderr)
    return 0
