"""What a dependent carries so that it finds its native libraries: a small private module and one line in `__init__.py`.

A relative run path finds a library in the same site directory. The loader serves all other layouts (user site beside
system site, editable installs, a symlinked package): it opens the native wheel's anchor before the first extension
module is loaded. It is also what turns a missing or too old native wheel into a sentence instead of a linker error.
See docs/loading.md.
"""

from __future__ import annotations

import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import Template

from farm.errors import BinaryFormatError
from farm.repair.bounds import Need

MODULE_NAMES = ("_native_libs", "_native_libs_farm")
MARK = "# added by `farm repair`"
HEAD = b'"""Finds the native libraries of '
_LAYOUT = frozenset({tokenize.ENCODING, tokenize.COMMENT, tokenize.NL})

_MODULE = Template('''\
"""Finds the native libraries of $project before its first extension module is loaded.

Written by `farm repair`; changes are lost.
"""

_NEEDS = (
$needs)


def _parse(version):
    """(epoch, release, post) of the versions that native wheels have: ``10!6.3.0.post1``."""
    epoch, _, rest = version.rpartition("!")
    release, _, post = rest.partition(".post")
    numbers = [int(part) for part in release.split(".") if part.isdigit()]
    while numbers and not numbers[-1]:
        numbers.pop()
    return int(epoch or 0), tuple(numbers), int(post) if post.isdigit() else -1


def _installed_version(module, distribution):
    version = getattr(module, "__version__", None)
    if version is None:
        from importlib.metadata import version as find

        version = find(distribution)
    return version


def _refuse(distribution, bounds, found, cause):
    requirement = distribution + bounds
    raise ImportError(
        "$project $version needs %s, %s: pip install '%s'" % (requirement, found, requirement)
    ) from cause


def _load():
    from importlib import import_module

    for name, distribution, lower, upper in _NEEDS:
        bounds = ">=%s,<%s" % (lower, upper)
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            _refuse(distribution, bounds, "which is not installed", error)
        version = _installed_version(module, distribution)
        if not _parse(lower) <= _parse(version) < _parse(upper):
            place = getattr(module, "__file__", None) or "an unknown place"
            _refuse(distribution, bounds, "but %s is installed at %s" % (version, place), None)
        try:
            module.load()
        except (OSError, AttributeError) as error:  # its own ImportErrors say what to do
            _refuse(distribution, bounds, "but %s cannot be loaded (%s)" % (version, error), error)


_load()
''')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the line goes: before row `row` (from 0), or, if `column` is given, behind that byte of row `row`."""

    row: int
    column: int | None = None


def module_source(project: str, version: str, needs: Iterable[Need]) -> bytes:
    """The private module of one package. `needs` come in load order; project and version are for messages."""
    rows = "".join(f"    {(n.import_name, n.distribution, n.lower, n.upper)!r},\n" for n in needs)
    return _MODULE.substitute(project=project, version=version, needs=rows).encode("ascii")


def is_ours(source: bytes) -> bool:
    """True if a module was written by `module_source`."""
    return source.startswith(HEAD)


def inject(source: bytes, module: str, where: str) -> bytes:
    """`__init__.py` with the line that loads `module`, after docstring and ``from __future__``, once.

    Encoding, line ends and every other line stay as they are; only ``"doc"; code`` on one line is cut in two. Raises
    BinaryFormatError for a file that is not Python up to its first ordinary statement.
    """
    newline = b"\r\n" if b"\r\n" in source else b"\n"
    ours = f"from . import {module}  {MARK}".encode() + newline
    lines = without(source).splitlines(keepends=True)
    place = _end_of_head(lines, where)
    before, after = lines[: place.row], lines[place.row :]
    if place.column is not None:
        row = lines[place.row]
        before = [*before, row[: place.column]]
        rest = row[place.column :].lstrip(b" \t;")
        after = [*([rest] if rest.strip() else []), *lines[place.row + 1 :]]
    if before and not before[-1].endswith((b"\n", b"\r")):
        before[-1] += newline
    return b"".join((*before, ours, *after))


def without(source: bytes) -> bytes:
    """`__init__.py` without our line."""
    return b"".join(line for line in source.splitlines(keepends=True) if MARK.encode() not in line)


def _end_of_head(lines: list[bytes], where: str) -> _Place:
    """The place behind docstring and ``from __future__`` statements."""
    place: _Place | None = None
    try:
        for number, statement in enumerate(_statements(lines)):
            if not (_is_future(statement) or (number == 0 and _is_string(statement))):
                return place or _Place(row=statement[0].start[0] - 1)
            end = statement[-1]
            if end.string == ";":
                place = _Place(row=end.start[0] - 1, column=_byte_column(lines, end))
            else:
                place = _Place(row=end.end[0] if end.end[1] == 0 and end.end[0] > end.start[0] else end.start[0])
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise BinaryFormatError(
            f"is not Python source: {error}",
            where=where,
            fix="mend the package's __init__.py: the farm adds one line to it",
        ) from error
    return place or _Place(row=len(lines))


def _statements(lines: list[bytes]) -> Iterator[list[tokenize.TokenInfo]]:
    """Simple statements at the head of a module, each with the NEWLINE or `;` that ends it; ends when the file does."""
    plain = iter([line.rstrip(b"\r\n") + b"\n" for line in lines])
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.tokenize(lambda: next(plain, b"")):
        if token.type in _LAYOUT:
            continue
        if token.type == tokenize.ENDMARKER:
            return
        statement.append(token)
        if token.type == tokenize.NEWLINE or token.string == ";":
            if len(statement) > 1:
                yield statement
            statement = []


def _is_string(statement: list[tokenize.TokenInfo]) -> bool:
    return all(token.type == tokenize.STRING or token.string in "()" for token in statement[:-1])


def _is_future(statement: list[tokenize.TokenInfo]) -> bool:
    return [token.string for token in statement[:2]] == ["from", "__future__"]


def _byte_column(lines: list[bytes], token: tokenize.TokenInfo) -> int:
    """Where a token starts in its line's bytes; the tokenizer counts characters and leaves a BOM out."""
    encoding, _ = tokenize.detect_encoding(iter(lines).__next__)
    row, column = token.start
    if row > 1:
        encoding = encoding.removesuffix("-sig")
    return len(lines[row - 1].decode(encoding)[:column].encode(encoding))
