"""Where a source can be had: turn the locations of a recipe into addresses.

Mirrors and indexes are the *machine's* business: `debian:` asks apt's configuration, `pypi:` asks pip. No host name is
written here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from farm.process import Cancel

APT = Path("/etc/apt")
_LINK = re.compile(r"^ *(?:Found|Skipping) link.*?((?:https?|file)://[^\s,#]+)", re.MULTILINE)
_PAGE = re.compile(r"^ *(?:Found|Skipping) link.*?\(from ((?:https?|file)://[^\s,)]+)")
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


def _pypi(file: str) -> str:
    """The address of an sdist or wheel, as pip with this machine's configuration sees it."""
    try:
        parse = parse_wheel_filename if file.endswith(".whl") else parse_sdist_filename
        name = canonicalize_name(parse(file)[0])
    except (InvalidSdistFilename, InvalidWheelFilename) as error:
        fix = "write pypi:<name>-<version>.tar.gz, or a wheel's whole name"
        raise SourceError(f"pypi:{file} is no sdist file name", fix=fix) from error
    project = pypi_project(name)
    address = project.files.get(file)
    if address is None:
        _projects.pop(name, None)  # it may be there when it is wanted again
        raise CannotResolveError(f"pip knows no {file} in its configured indexes ({project.said})")
    _refuse_masked(address, file)
    return address


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of the indexes that pip is configured with: addresses by file name, the pages that list them, and the
    last line of what pip said."""

    files: Mapping[str, str]
    pages: tuple[str, ...]
    said: str


_projects: dict[str, Project] = {}  # what pip said of those that have files; a process asks once


def forget_projects() -> None:
    """Let pip be asked again for every project."""
    _projects.clear()


def pypi_project(name: str, *, cancel: Cancel | None = None) -> Project:
    """What pip with this machine's configuration sees of a project, named as PEP 503 spells it.

    Raises CannotResolveError if that is nothing, ProcessError if it is cancelled.

    `pip download` of an sdist runs its build back end, and pip has no command that only prints a file's address. But
    ``pip index versions -vv`` lists every link of the project's pages, runs nothing and obeys all of pip's settings.
    """
    if name in _projects:
        return _projects[name]
    argv = [sys.executable, "-m", "pip", "--no-color", "--disable-pip-version-check", "index", "versions"]
    lines: list[str] = []  # as they come: a large project's page is longer than what is kept of an output
    process.run(
        [*argv, "-vv", "--pre", "--ignore-requires-python", "--no-binary", ":all:", "--", name],
        on_line=lambda line: lines.append(line) if line.strip() else None,
        check=False,
        timeout=120,
        cancel=cancel,
    )
    files: dict[str, str] = {}
    for address in links("\n".join(lines)):
        file = unquote(urlsplit(address).path).rpartition("/")[2]
        if canonicalize_name(file).startswith(f"{name}-"):  # directories of files (find-links) have other projects, too
            files.setdefault(file, address)
    pages = dict.fromkeys(page for line in lines for page in _PAGE.findall(line))
    said = lines[-1].strip()[:200] if lines else "no answer"
    if not files:
        raise CannotResolveError(f"pip knows no {name} in its configured indexes ({said})")
    return _projects.setdefault(name, Project(files=files, pages=tuple(pages), said=said))


def _refuse_masked(address: str, file: str) -> None:
    """pip writes ``****`` for the passwords of its indexes, and nothing tells them to others."""
    if _MASK in urlsplit(address).netloc:
        raise CannotResolveError(f"the index that has {file} wants a password, and pip does not show the one it knows")


def links(output: str) -> list[str]:
    """The addresses in what pip says with -vv."""
    return _LINK.findall(output)
