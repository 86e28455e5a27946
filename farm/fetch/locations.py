"""Where a source can be had: turn the locations of a recipe into addresses.

Mirrors and indexes are the *machine's* business: `debian:` asks apt's configuration, `pypi:` asks pip. No host name is
written here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from farm import process
from farm.errors import SourceError

APT = Path("/etc/apt")
_LINK = re.compile(r"^ *(?:Found|Skipping) link.*?((?:https?|file)://[^\s,#]+)", re.MULTILINE)
_MASK = "****"
_SCHEMES = ("https", "http", "file")


class CannotResolveError(Exception):
    """This machine's configuration leads nowhere for a location; the message says why. Never leaves `farm.build`."""


def addresses(url: str, recipe_dir: Path) -> tuple[str, ...]:
    """The addresses to try for one location, best first.

    Raises CannotResolveError if this machine has no way to the location, SourceError if it is no location at all.
    """
    scheme, _, rest = url.partition(":")
    if scheme in ("https", "http") and rest.startswith("//"):
        return (url,)
    if scheme == "file" and rest:
        return (_beside_recipe(rest, recipe_dir).as_uri(),)
    if scheme == "debian" and rest:
        return _debian(rest)
    if scheme == "pypi" and rest:
        return (_pypi(rest),)
    raise SourceError(
        f"{url!r} is no location", fix="write https://..., debian:<file>, pypi:<file> or file:<path below the recipe>"
    )


def _beside_recipe(path: str, recipe_dir: Path) -> Path:
    place = (recipe_dir / path).resolve()
    if not place.is_relative_to(recipe_dir.resolve()):
        raise SourceError(
            f"file:{path} leaves the recipe's directory",
            where=str(recipe_dir),
            fix="put the file beside the recipe, or name a https:// location",
        )
    return place


def pool_path(file: str) -> str:
    """A file's place in a Debian archive: ``pool/main/libp/libpng1.6/libpng1.6_1.6.48.orig.tar.gz``.

    The source package is the part before ``_`` unless written before a slash: ``src/file``. Packages that begin with
    ``lib`` are filed under four letters (Debian's archive layout).
    """
    source, slash, name = file.rpartition("/")
    if not slash:
        source, name = file.partition("_")[0], file
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", source) or not name or name.startswith("."):
        raise SourceError(f"debian:{file} names no file of a source package", fix="write debian:<source>_<version>...")
    prefix = source[:4] if source.startswith("lib") else source[0]
    return f"pool/main/{prefix}/{source}/{quote(name, safe='+~.-_')}"


def _debian(file: str) -> tuple[str, ...]:
    path = pool_path(file)
    mirrors = debian_mirrors(APT)
    if not mirrors:
        raise CannotResolveError(f"no Debian mirror is configured in {APT}")
    return tuple(f"{mirror}/{path}" for mirror in mirrors)


def debian_mirrors(apt: Path) -> tuple[str, ...]:
    """The archive addresses in apt's configuration that have a `main` component, without a trailing slash.

    Reads ``sources.list`` lines and deb822 ``*.sources`` files (sources.list(5)).
    """
    found: list[str] = []
    for file in sorted([apt / "sources.list", *apt.glob("sources.list.d/*.list")]):
        found += _one_line_style(_text(file))
    for file in sorted(apt.glob("sources.list.d/*.sources")):
        found += _deb822_style(_text(file))
    usable = [f.rstrip("/") for f in found if urlsplit(f).scheme in _SCHEMES]
    # Other vendors' repositories have a `main` too; an archive that ends in /debian is the likely one.
    return tuple(dict.fromkeys(sorted(usable, key=lambda f: not f.endswith("/debian"))))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _one_line_style(text: str) -> Iterable[str]:
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] in ("deb", "deb-src") and "main" in words[3:]:
            yield words[1]


def _deb822_style(text: str) -> Iterable[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        if "main" in fields.get("components", "").split():
            yield from fields.get("uris", "").split()


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in stanza.splitlines():
        if line[:1].isspace() and key:
            fields[key] += " " + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
    return fields


@lru_cache(maxsize=256)
def _pypi(file: str) -> str:
    """The address of an sdist or wheel, as pip with this machine's configuration sees it.

    `pip download` of an sdist runs its build back end, and pip has no command that only prints a file's address. But
    ``pip index versions -vv`` lists every link of the project's pages, runs nothing and obeys all of pip's settings.
    """
    try:
        parse = parse_wheel_filename if file.endswith(".whl") else parse_sdist_filename
        name = canonicalize_name(parse(file)[0])
    except (InvalidSdistFilename, InvalidWheelFilename) as error:
        fix = "write pypi:<name>-<version>.tar.gz, or a wheel's whole name"
        raise SourceError(f"pypi:{file} is no sdist file name", fix=fix) from error
    argv = [sys.executable, "-m", "pip", "--no-color", "--disable-pip-version-check", "index", "versions", name]
    listed: list[str] = []  # as it comes: a large project's page is longer than what is kept of an output
    done = process.run(
        [*argv, "-vv", "--pre", "--ignore-requires-python", "--no-binary", ":all:"],
        on_line=lambda line: listed.extend(links(line)),
        check=False,
        timeout=120,
    )
    for address in listed:
        if unquote(urlsplit(address).path).rpartition("/")[2] == file:
            _refuse_masked(address, file)
            return address
    last = done.output.strip().splitlines()[-1:] or ["no answer"]
    raise CannotResolveError(f"pip knows no {file} in its configured indexes ({last[0][:200]})")


def _refuse_masked(address: str, file: str) -> None:
    """pip writes ``****`` for the passwords of its indexes, and nothing tells them to others."""
    if _MASK in urlsplit(address).netloc:
        raise CannotResolveError(f"the index that has {file} wants a password, and pip does not show the one it knows")


def links(output: str) -> list[str]:
    """The addresses in what pip says with -vv."""
    return _LINK.findall(output)
