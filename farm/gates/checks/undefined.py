"""Every symbol a binary imports must come from somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from farm.binary.lookup import LOOKUPS
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents, hwcaps_level
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage, Symbol
from farm.model.finding import Finding
from farm.model.shown import counted, some
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.system_libraries import is_versioned

_PYTHON = re.compile(r"_*Py[A-Z_]\w*")
_OF_THE_LINKER = frozenset(
    {"_GLOBAL_OFFSET_TABLE_", "_DYNAMIC", "__ehdr_start", "dyld_stub_binder", "_dyld_stub_binder", "__dso_handle"}
)
_OF_THE_LOADER = frozenset({"dlopen", "dlsym", "dlclose", "dlerror"})
"""What every interpreter that can load an extension module has in the process; older glibcs keep it in a library of its
own, which modules seldom name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """What a binary and all it needs define. `opaque`: some needed library is not to be seen and has no versions."""

    names: frozenset[str]
    opaque: bool


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    visible = visible_libraries(wheel, policy.libraries)
    for file, linkage in wheel.binaries.items():
        scope = _scope(linkage, visible)
        lost: list[str] = []
        for symbol in linkage.imports:
            if symbol.weak:
                continue
            if symbol.version or symbol.library:
                problem = _bound_problem(symbol, linkage, visible)
                if problem:
                    yield CHECK.finding(file, problem)
            elif not _found(symbol.name, scope, native=wheel.is_native):
                lost.append(symbol.name)
        if lost:
            needed = ", ".join(linkage.needed) or "nothing"
            yield CHECK.finding(
                file,
                f"imports {counted(len(lost), 'symbol')} that no library it needs defines: "
                f"{some(sorted(lost), policy.shown)} (it needs {needed})",
            )


def is_of_python(name: str) -> bool:
    """True for names that the interpreter has."""
    return _PYTHON.fullmatch(name) is not None


def is_given(name: str) -> bool:
    """True for names that an extension module need not find in a library: the interpreter's, the loader's and those
    that linkers make."""
    return is_of_python(name) or name in _OF_THE_LOADER or name in _OF_THE_LINKER


def visible_libraries(wheel: WheelContents, known: Mapping[str, KnownLibrary]) -> dict[str, Linkage]:
    """Libraries whose symbols can be seen, by their names as `Lookup.key` gives them; the wheel's own win."""
    found = {name: library.linkage for name, library in known.items()}
    for file, linkage in wheel.binaries.items():
        key = LOOKUPS[linkage.format].key
        if not hwcaps_level(file):
            found[key(file.rpartition("/")[2])] = linkage
            if linkage.soname:
                found[key(linkage.soname)] = linkage
    return found


def _scope(linkage: Linkage, visible: Mapping[str, Linkage]) -> _Scope:
    names: set[str] = set()
    opaque = False
    key = LOOKUPS[linkage.format].key
    queue = [key(name) for name in linkage.needed]
    seen = set(queue)
    while queue:
        library = visible.get(queue[0])
        if library is None:
            opaque = opaque or not is_versioned(queue[0])
            following: list[str] = []
        else:
            names.update(symbol.name for symbol in library.exports)
            following = [key(name) for name in library.needed]
        queue = [*queue[1:], *(name for name in following if name not in seen)]
        seen.update(following)
    return _Scope(names=frozenset(names), opaque=opaque)


def _found(name: str, scope: _Scope, *, native: bool) -> bool:
    if name in scope.names or scope.opaque or name in _OF_THE_LINKER:
        return True
    return not native and is_given(name)


def _bound_problem(symbol: Symbol, linkage: Linkage, visible: Mapping[str, Linkage]) -> str:
    """What is wrong with an import that says from which library (and in which version) it comes."""
    key = LOOKUPS[linkage.format].key
    wanted = f"{symbol.name} of version {symbol.version}" if symbol.version else symbol.name
    if symbol.library not in linkage.needed:
        return f"wants {wanted} from {symbol.library}, which it does not load"
    library = visible.get(key(symbol.library))
    if library is None:
        return ""
    versions = {other.version for other in library.exports if other.name == symbol.name}
    if symbol.version in versions or "" in versions:
        return ""
    if linkage.format is BinaryFormat.PE and not versions and symbol.name.startswith("#"):
        return ""  # imported by number: names do not tell
    has = f"has it as {', '.join(sorted(versions))}" if versions else "does not have it"
    return f"wants {wanted} from {symbol.library}, which {has}"


CHECK = Check(
    name="undefined-symbols",
    meaning="Every strong undefined symbol is defined by a library the binary needs: one in the wheel, one of the "
    "given native wheels, or (by its symbol version, or by the name that Windows and macOS record) one of the system. "
    "`Py*` symbols, `dlopen` and `dlsym` come from the interpreter, except in native wheels, which must not need one.",
    remedy="link the library that defines it (products.library.system for system libraries), or show the audit the "
    "native wheel that holds it (--native)",
    run=_run,
)
