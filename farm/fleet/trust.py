"""The list of keys that a worker trusts, and with what; read again whenever the file changes.

A line is ``RIGHTS KEY [OPTION...] NAME``: rights joined by commas (``build``, ``pr``), the public key (32 bytes in
base64), and whose it is. Options: ``until=2027-06-30`` (the last day, UTC), ``recipes=zlib,py*`` (globs).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from farm.errors import FleetError, UsageError
from farm.fleet.order import Order, Right
from farm.fleet.signing import Signer, Verifier, verifier
from farm.store.files import disk_errors, make_dirs, write_atomic

_log = logging.getLogger(__name__)
RIGHTS: tuple[Right, ...] = ("build", "pr")
_MAX_FILE = 1 << 20
_HOW = "`farm fleet key --show` on the machine that asks prints the line; put it into this file"
_OPTIONS = ("until", "recipes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A public key, whose it is, and what it may ask for: `rights`, up to the end of the day `until` (None: for
    ever), for `recipes` (globs)."""

    rights: frozenset[str]
    owner: str
    key: Verifier
    until: date | None = None
    recipes: tuple[str, ...] = ("*",)


def line_of(signer: Signer, rights: Sequence[str], owner: str, *, until: str = "", recipes: Sequence[str] = ()) -> str:
    """A line of the list. Raises UsageError if it would be none."""
    options = [*([f"until={until}"] if until else []), *([f"recipes={','.join(recipes)}"] if recipes else [])]
    line = " ".join([",".join(rights), signer.public, *options, owner])
    try:
        _parsed(line, "")
    except FleetError as error:
        raise UsageError(
            f"that is no line of a list of trusted keys: {line}",
            where="--until, --recipe, --name",
            fix="a day like 2027-06-30, globs without commas and spaces, a name without =",
        ) from error
    return line


def trust(path: Path, line: str) -> None:
    """Let a line of a list of trusted keys count: of two lines for one key the last does. Raises StoreError."""
    with disk_errors(path.parent):
        make_dirs(path.parent)
        if not path.exists():
            write_atomic(path, f"{line}\n".encode())  # a worker that starts just now finds no list, or a whole one
        with path.open("a+", encoding="utf-8") as stream:
            stream.seek(0)
            there = stream.read()
            public = line.split()[1]
            lines = [each for each in there.splitlines() if each.split()[1:2] == [public] and each.lstrip()[0] != "#"]
            if lines[-1:] != [line]:
                first = "\n" if there and not there.endswith("\n") else ""  # people write the file, too
                stream.write(f"{first}{line}\n")
                stream.flush()
                os.fsync(stream.fileno())


def read(path: Path) -> Mapping[str, Trusted]:
    """The keys of a list by fingerprint. Raises FleetError naming file and line; a list without a key is none."""
    try:
        text = path.read_text("utf-8")[:_MAX_FILE]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise FleetError(f"the list of trusted keys cannot be read: {why}", where=str(path), fix=_HOW) from error
    found: dict[str, Trusted] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, one = _parsed(line, f"{path}: line {number}")
            found[name] = one
    if not found:
        raise FleetError("the list of trusted keys is empty", where=str(path), fix=_HOW)
    return found


class TrustFile:
    """A list that is read again when the file has changed, so that a line that is removed counts no more from the next
    order on. Safe for threads. Nobody is trusted while it cannot be read."""

    def __init__(self, path: Path) -> None:
        """Raises FleetError as `read` does."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = self._look()
        self._keys: Mapping[str, Trusted] = read(path)
        self._fault = ""

    def keys(self) -> Mapping[str, Trusted]:
        """Whom we trust now, by fingerprint. Nobody if the list is damaged or gone: the log says so once."""
        with self._lock:
            seen = self._look()
            if seen != self._seen or self._fault:
                self._read()
                self._seen = seen
            return self._keys

    def _read(self) -> None:
        try:
            found, fault = read(self._path), ""
        except FleetError as error:
            found, fault = {}, str(error)
        if fault and fault != self._fault:
            _log.error("no orders are taken until this is mended: %s", fault)
        elif not fault:
            _log.info("the list of trusted keys was read again: %d", len(found))
        self._keys, self._fault = found, fault

    def _look(self) -> tuple[int, int, int] | None:
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What came with an order: who is said to have signed which text."""

    signer: str
    text: str
    signature: str


def check(keys: Mapping[str, Trusted], signed: Signed, order: Order, now: Callable[[], datetime]) -> None:
    """Raise FleetError unless a trusted key that may ask for this has signed it. `now` is asked only if a day
    matters."""
    known = keys.get(signed.signer)
    if known is None:
        raise FleetError(
            f"is signed by {signed.signer}, which this worker does not trust",
            where="job",
            fix="put the line that `farm fleet key --show` prints on the machine that asks into the worker's list",
        )
    if not known.key.fits(signed.text, signed.signature):
        raise FleetError(
            "its signature does not fit: somebody changed the job", where="job", fix="find out who writes the ledger"
        )
    who = known.owner or signed.signer
    recipe = order.step.partition("@")[0]
    if order.rights not in known.rights:
        raise FleetError(
            f"asks for the right to {order.rights!r}, which the key of {who} does not have",
            where="job",
            fix=f"sign with a key that has it, or give this one {order.rights!r} in the worker's list",
        )
    if not any(fnmatchcase(recipe, glob) for glob in known.recipes):
        raise FleetError(
            f"asks for {recipe}, which the key of {who} may not: it may {','.join(known.recipes)}",
            where="job",
            fix="sign with another key, or add the recipe to recipes=... in the worker's list",
        )
    if known.until is not None and now() >= _end_of(known.until):
        raise FleetError(
            f"is signed with the key of {who}, which was good until {known.until}",
            where="job",
            fix="`farm fleet key` makes a new one when the file is moved away; put its line into the workers' lists",
        )


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _parsed(line: str, where: str) -> tuple[str, Trusted]:
    """Fingerprint and meaning of a line. An option that this farm does not know is a fault: it restricts something."""
    try:
        rights, key, *rest = line.split()
        public = verifier(key)
        if not set(rights.split(",")) <= set(RIGHTS):
            raise ValueError(rights)
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        if odd := [name for name in options if name not in _OPTIONS]:
            raise ValueError(odd)
        until = date.fromisoformat(options["until"]) if "until" in options else None
        recipes = tuple(options.get("recipes", "*").split(","))
        if not all(recipes):
            raise ValueError(recipes)
    except ValueError as error:  # binascii.Error is one
        raise FleetError(
            "is no trusted key: RIGHTS KEY [until=DATE] [recipes=GLOB,GLOB] NAME", where=where, fix=_HOW
        ) from error
    owner = " ".join(word for word in rest if "=" not in word)
    given = frozenset(rights.split(","))
    return public.name, Trusted(rights=given, owner=owner, key=public, until=until, recipes=recipes)
