"""What a stored wheel imports from the farm's libraries, kept by build key: reading a large wheel takes seconds."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import BinaryFormatError, StoreError
from farm.model import names
from farm.model.artifact import Artifact
from farm.model.binary import Linkage
from farm.plan.reach import Imports
from farm.repair import contents
from farm.store.artifacts import Store
from farm.store.files import make_dirs, write_atomic
from farm.wheel.archive import WheelArchive

_RULES = 3  # raised when the same wheel gives other facts
SUFFIX = "imports"
_LOOKS_UP = frozenset({"dlsym", "dlvsym", "GetProcAddress"})
_SPELLED = re.compile(rb"(?<=\0)[A-Za-z_]\w{2,200}(?=\0)")
_WORD = re.compile(rb"[A-Za-z_]\w{2,200}")
_FOREIGN = re.compile(rb"\b(?:ctypes|cffi)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linked:
    """The same as `Imports`, by link names instead of recipes."""

    needs: frozenset[str]
    bound: Mapping[str, frozenset[str]]
    free: frozenset[str]


def imports_of(artifact: Artifact, store: Store, folder: Path, recipes: Mapping[str, str]) -> Imports | None:
    """What a wheel imports; `recipes` maps link names to recipes. None if that cannot be told: the wheel is damaged, or
    imports by number. `folder` keeps the answer."""
    place = folder / f"{artifact.key}-{_RULES}.{SUFFIX}"
    linked = _kept(place, artifact)
    if linked is None:
        try:
            linked = _read(store.path(artifact))
        except (OSError, BinaryFormatError):
            return None
        with contextlib.suppress(OSError, StoreError):  # a plan may be made where nothing can be written
            make_dirs(folder)
            write_atomic(place, _text(linked, artifact))
    if any(symbol.startswith("#") for symbols in linked.bound.values() for symbol in symbols):
        return None  # a PE import by number
    return Imports(
        needs=frozenset(recipes[name] for name in linked.needs if name in recipes),
        bound=_by_recipe(linked.bound, recipes),
        free=linked.free,
    )


def _by_recipe(bound: Mapping[str, frozenset[str]], recipes: Mapping[str, str]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, symbols in bound.items():
        if recipe := recipes.get(name):
            found[recipe] = found.get(recipe, frozenset()) | symbols
    return found


def _read(wheel: Path) -> _Linked:
    with WheelArchive.open(wheel) as archive:
        binaries = contents.look(archive).binaries
        linked = _of(binary.linkage for binary in binaries)
        asking = {b.member for b in binaries if any(symbol.name in _LOOKS_UP for symbol in b.linkage.imports)}
        return replace(linked, free=linked.free | _spelled(archive, asking))


def _spelled(archive: WheelArchive, asking: Collection[str]) -> frozenset[str]:
    """The names that a wheel may look up when it runs: texts in binaries that can, and words in Python code that calls
    foreign functions. Any library may give them."""
    found: set[bytes] = set()
    for member in archive.members:
        if member in asking:
            found.update(_SPELLED.findall(archive.read(member)))
        elif member.endswith(".py") and _FOREIGN.search(code := archive.read(member)):
            found.update(_WORD.findall(code))
    return frozenset(name.decode() for name in found)


def _of(linkages: Iterable[Linkage]) -> _Linked:
    needs: set[str] = set()
    bound: dict[str, set[str]] = {}
    free: set[str] = set()
    for linkage in linkages:
        needs.update(parsed.library for needed in linkage.needed if (parsed := _parsed(needed)))
        for symbol in linkage.taken:
            if not symbol.library:
                free.add(symbol.name)
            elif parsed := _parsed(symbol.library):
                bound.setdefault(parsed.library, set()).add(symbol.name)
    return _Linked(
        needs=frozenset(needs),
        bound={name: frozenset(symbols) for name, symbols in bound.items()},
        free=frozenset(free),
    )


def _parsed(needed: str) -> names.SharedName | None:
    return names.parse_shared_name(needed.lower() if needed.lower().endswith(".dll") else needed)


def _text(linked: _Linked, artifact: Artifact) -> bytes:
    facts = {
        "wheel": artifact.sha256,
        "needs": sorted(linked.needs),
        "bound": {name: sorted(linked.bound[name]) for name in sorted(linked.bound)},
        "free": sorted(linked.free),
    }
    return json.dumps(facts, indent=0).encode()


def _kept(place: Path, artifact: Artifact) -> _Linked | None:
    """What was written down for this very wheel; None if that is not there or damaged."""
    try:
        facts = json.loads(place.read_bytes())
        if facts["wheel"] != artifact.sha256:
            return None
        return _Linked(
            needs=frozenset(facts["needs"]),
            bound={name: frozenset(symbols) for name, symbols in facts["bound"].items()},
            free=frozenset(facts["free"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
