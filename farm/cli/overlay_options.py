"""The options of `farm index overlay`, and the overlay that they say."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli import moments, words
from farm.errors import UsageError
from farm.index.contents import STAGING

if TYPE_CHECKING:
    from farm.index.overlay import Overlay

EPILOG = """\
examples:
  farm index overlay add --project gmpy2 --version '>=2.2,<2.4' --tighten 'native-mpfr<7!0' \\
       --reason 'MPFR 5 changes mpfr_t' --expires 90d --key ~/.ssh/id_ed25519
  farm index overlay add --project pillow --version 13.0.0 --set-requires-python '>=3.12' \\
       --reason 'uses PEP 695' --expires 2027-02-01 --key ~/.ssh/id_ed25519 --channel stable
  farm index overlay sign fix.toml --key ~/.ssh/id_ed25519       writes fix.toml.sig
  farm index overlay add fix.toml                                signed by somebody else, or before
  farm index overlay list                                        what corrects which wheels, until when
  farm index overlay show fence-gmpy2-native-mpfr --export .     the signed file, as it was added
  farm index overlay remove fence-gmpy2-native-mpfr              the original wheels are offered again
  farm index overlay expire                                      take off what has expired (for cron)
  farm index overlay expire --now fence-gmpy2-native-mpfr        do not wait for its date
  farm index overlay verify                                      do all signatures still hold?
  farm index overlay keys                                        whose signatures count

an overlay file:
  format = 1
  name = "mpfr-5"
  project = "gmpy2"
  versions = ">=2.2,<2.4"                   # or: files = ["gmpy2-2.3.2-cp313-cp313-win_amd64.whl"]
  reason = "MPFR 5 changes mpfr_t"
  author = "Jo <jo@example.org>"
  created = 2026-11-21
  expires = 2027-02-01
  requires_python = ">=3.11"
  [requires]
  tighten = ["native-mpfr<7!0"]             # a bound added to each entry of that project; markers stay
  replace = ["native-gmp>=10!6.3.0,<11!0"]  # instead of all entries of that project
  add = ["tomli>=2; python_version < '3.12'"]
  remove = ["six"]

whose signatures count: lines of ssh-keygen's allowed signers in the catalog's file `trusted-keys`
  ssh-keygen -t ed25519 -f overlay-key
  echo "jo@example.org $(cat overlay-key.pub)" >> trusted-keys
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="overlay_action", metavar="ACTION", required=True)
    add = _action(actions, "add", help="apply signed overlays from files, or one that is made of options")
    _common(add, channel=words.channel)
    _trusted(add)
    add.add_argument("files", nargs="*", type=Path, metavar="FILE", help="overlay file; its signature is in FILE.sig")
    add.add_argument("--replace", action="store_true", help="take the place of overlays of the same names")
    made = add.add_argument_group("instead of FILE")
    made.add_argument("--project", help="of whose wheels")
    made.add_argument("--version", metavar="SPECIFIER", help="a version, or a specifier such as '>=2.2,<2.4'")
    made.add_argument("--file", action="append", default=[], metavar="WHEEL", help="instead of --version: file names")
    made.add_argument("--tighten", action="append", default=[], metavar="BOUND", help="'native-mpfr<7!0'")
    made.add_argument("--set-requires", action="append", default=[], metavar="REQUIREMENT", help="whole entry")
    made.add_argument("--add-requires", action="append", default=[], metavar="REQUIREMENT")
    made.add_argument("--remove-requires", action="append", default=[], metavar="PROJECT")
    made.add_argument("--set-requires-python", metavar="SPECIFIER")
    made.add_argument("--reason", help="users see it")
    made.add_argument("--expires", metavar="WHEN", help="2027-02-01 or 90d")
    made.add_argument("--author", help="default: whom the key belongs to, by the trusted keys")
    made.add_argument("--name", help="default: made of the projects")
    made.add_argument("--key", type=Path, metavar="FILE", help="private key to sign with")
    listing = _action(actions, "list", help="the overlays of a channel")
    _common(listing)
    show = _action(actions, "show", help="one overlay: its file, and what it changes")
    _common(show)
    show.add_argument("name", metavar="NAME")
    show.add_argument("--export", type=Path, metavar="DIR", help="write NAME.toml and NAME.toml.sig there")
    remove = _action(actions, "remove", help="take overlays off: originals are offered again")
    _common(remove)
    remove.add_argument("names", nargs="+", metavar="NAME")
    expire = _action(actions, "expire", help="take off what has expired, or with --now what is named")
    _common(expire)
    expire.add_argument("names", nargs="*", metavar="NAME")
    expire.add_argument("--now", action="store_true", help="before its date")
    sign = _action(actions, "sign", help="write FILE.sig")
    sign.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sign.add_argument("--key", type=Path, metavar="FILE", required=True, help="private key, as ssh-keygen makes it")
    sign.add_argument("--json", action="store_true", help="print JSON")
    verify = _action(actions, "verify", help="check signatures of files, else of all overlays of a channel")
    _common(verify)
    _trusted(verify)
    verify.add_argument("files", nargs="*", type=Path, metavar="FILE")
    keys = _action(actions, "keys", help="whose signatures count")
    _trusted(keys)
    keys.add_argument("--json", action="store_true", help="print JSON")


def _action(actions: Any, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 - argparse's name
    parser = actions.add_parser(
        name, help=help, description=help, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def _common(parser: argparse.ArgumentParser, channel: Callable[[str], str] = words.given) -> None:
    parser.add_argument("--channel", type=channel, default=STAGING, help=f"default: {STAGING}")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _trusted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trusted-keys", type=Path, metavar="FILE", help="default: trusted-keys in the catalog")


def composed(args: argparse.Namespace) -> Overlay:
    """The overlay of the options, made now. Raises UsageError, OverlayError."""
    from farm.index import overlay_file, overlay_sign

    author = args.author or overlay_sign.signer_of(args.key, args.trusted_keys)
    for option, value in (("--reason", args.reason), ("--expires", args.expires), ("--author", author)):
        if not value:
            raise UsageError("is missing", where=option, fix="every overlay has reason, author and expiry")
    now = datetime.now(UTC).replace(microsecond=0)
    requires = {
        "tighten": tuple(args.tighten),
        "replace": tuple(args.set_requires),
        "add": tuple(args.add_requires),
        "remove": tuple(args.remove_requires),
    }
    return overlay_file.make(
        name=args.name or _name(args),
        project=args.project,
        versions=_versions(args.version),
        files=tuple(args.file),
        reason=args.reason,
        author=author,
        created=now,
        expires=moments.to_come(args.expires, "--expires", now),
        requires_python=args.set_requires_python,
        requires=requires,
    )


def _name(args: argparse.Namespace) -> str:
    """``gmpy2-native-mpfr``: what is corrected and whose bound; ``gmpy2-python`` for Requires-Python."""
    from farm.wheel.metadata import project_of

    lines = (*args.tighten, *args.set_requires, *args.add_requires, *args.remove_requires)
    return "-".join(dict.fromkeys((args.project, *filter(None, map(project_of, lines[:1] or ("python",))))))


def _versions(text: str | None) -> str | None:
    from packaging.version import InvalidVersion

    from farm.model import pypa

    try:
        return None if text is None else f"=={pypa.version(text)}"
    except InvalidVersion:
        return text
