"""The headers of a pinned Python: out of a package or CPython's source, with the platform's own pyconfig.h."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from farm.catalog.values import Catalog
from farm.errors import SourceError
from farm.fetch import archives, deb
from farm.fetch.obtain import obtain
from farm.model.python import Headers, Python
from farm.model.recipe_source import Location
from farm.settings import Settings

_FEATURE = re.compile(
    r"^[ \t]*(?:/\*[ \t]*)?#[ \t]*(?P<verb>undef|define)[ \t]+(?P<name>\w+)(?P<rest>[^\n]*)$", re.MULTILINE
)
_TEMPLATE = ".in"


def locations(python: Python, entry: Headers, catalog: Catalog) -> tuple[Location, ...]:
    """Where the archive with the headers can be had. Raises SourceError if the files pin none."""
    where = f"toolchains/pythons/{python.tag}.toml"
    if not entry.sysroot:
        if not python.source:
            raise SourceError("names no source archive of CPython", where=where, fix="add [[source]] with its hash")
        return python.source
    sysroot = catalog.sysroots.get(entry.sysroot)
    packages = sysroot.package if sysroot else ()
    found = next((package.location for package in packages if package.name == entry.package), ())
    if not found:
        raise SourceError(
            f"the sysroot {entry.sysroot} pins no {entry.package}",
            where=where,
            fix=f"farm toolchain sysroot {entry.sysroot} --update",
        )
    return found


def read(
    python: Python, entry: Headers, catalog: Catalog, settings: Settings
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The headers (path below the include directory -> content), and for each import library the text that names
    what it holds.

    Raises UnreachableError if the archive cannot be had, SourceError for a wrong one.
    """
    archive = obtain(
        locations(python, entry, catalog),
        settings.toolchains / "pythons",
        settings.downloads,
        what=f"the headers of {python.tag}",
    )
    with tempfile.TemporaryDirectory(prefix=".python-", dir=settings.downloads) as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        wanted = (entry.include, entry.pyconfig, *entry.import_libraries.values())
        if entry.sysroot:
            deb.unpack(archive, tree, rename=_only(wanted, strip=0))
        else:
            archives.unpack_system(archive, tree, rename=_only(wanted, strip=1))
        return _headers(tree, entry, archive.name), _naming(tree, entry, archive.name)


def _only(wanted: tuple[str, ...], *, strip: int) -> Callable[[str], str | None]:
    """Keep what lies at or below the wanted paths; links among them are of no use."""

    def rename(name: str) -> str | None:
        path = "/".join(name.removeprefix("./").split("/")[strip:])
        return path if any(path == one or path.startswith(f"{one}/") for one in wanted) else None

    return rename


def _headers(tree: Path, entry: Headers, archive: str) -> dict[str, bytes]:
    root = tree / entry.include
    found = {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*.h"))}
    if "Python.h" not in found:
        raise SourceError(f"holds no {entry.include}/Python.h", where=archive, fix="correct `include` in the file")
    text = _text(tree / entry.pyconfig, archive)
    found["pyconfig.h"] = pyconfig(text, entry).encode()
    return found


def _naming(tree: Path, entry: Headers, archive: str) -> dict[str, str]:
    found = {}
    for library, path in entry.import_libraries.items():
        place = tree / path
        files = sorted(place.rglob("*.h")) if place.is_dir() else [place]
        found[library] = "\n".join(_text(file, archive) for file in files)
    return found


def _text(file: Path, archive: str) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        raise SourceError(
            f"holds no {file.name} where the Python's file says", where=archive, fix=f"correct it ({error.strerror})"
        ) from error


def pyconfig(content: str, entry: Headers) -> str:
    """A platform's pyconfig.h: `content` after the prelude of `entry`, with its names defined or not as they are there.

    In a template of autoconf (``pyconfig.h.in``) every name that the entry does not define is undefined.
    """
    wanted = {**dict.fromkeys(entry.ones, "1"), **entry.values}
    template = entry.pyconfig.endswith(_TEMPLATE) and bool(wanted)

    def line(match: re.Match[str]) -> str:
        name = match["name"]
        if name in wanted:
            return f"#define {name} {wanted[name]}"
        if name in entry.undefined or (template and match["verb"] == "undef"):
            return f"/* #undef {name} */"
        return match[0]

    return (f"{entry.prelude}\n" if entry.prelude else "") + _FEATURE.sub(line, content)
