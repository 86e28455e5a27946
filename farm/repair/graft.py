"""Pure decisions about a wheel's binaries: which vendored copies give way to native libraries, and the run paths.

A library is redirected for the whole wheel or not at all: one binary that kept the vendored copy would bring the
second copy into the process that this farm exists to avoid.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from farm.binary.lookup import LOOKUPS, Lookup, below
from farm.model.binary import BinaryFormat, Linkage, Symbol
from farm.model.finding import Finding, Severity
from farm.model.shown import some
from farm.repair.natives import Natives, exported
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.system_libraries import is_libpython, is_versioned

_PYTHON = ("Py", "_Py")
_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A binary in a wheel. `member` is its name in the archive; `place` where it lies below the site directory once
    installed, None where that is unknown (scripts, data)."""

    member: str
    place: str | None
    linkage: Linkage

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.place or "")

    @property
    def names(self) -> frozenset[str]:
        """The names by which other binaries may need it."""
        return frozenset({posixpath.basename(self.member), self.linkage.soname} - {""})

    @property
    def keys(self) -> frozenset[str]:
        """The same as `farm.binary.lookup` writes them: file names, of DLLs in lower case."""
        return frozenset(map(LOOKUPS[self.linkage.format].key, self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """All that need `soname` get `known` instead; `vendored` is the member that is dropped, if the wheel has one."""

    soname: str
    known: KnownLibrary
    vendored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """All changes of one file. `runpath` is None where it stays, empty where it goes. In Mach-O files only that is
    ever changed. `strip_debug`: it loses its debug information."""

    replace_needed: tuple[tuple[str, str], ...] = ()
    remove_needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] | None = None
    strip_debug: bool = False

    @property
    def needs_patchelf(self) -> bool:
        return bool(self.replace_needed or self.remove_needed) or self.runpath is not None

    @property
    def is_empty(self) -> bool:
        return not self.needs_patchelf and not self.strip_debug


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft:
    """The decisions: `uses` maps each member that stays to the native libraries it needs and the symbols it takes."""

    redirects: tuple[Redirect, ...] = ()
    uses: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)  # member -> shared name -> symbols
    findings: tuple[Finding, ...] = ()

    @property
    def dropped(self) -> frozenset[str]:
        return frozenset(r.vendored for r in self.redirects if r.vendored)


def decide(binaries: Sequence[Binary], natives: Natives, *, mentioned: frozenset[str] = frozenset()) -> Graft:
    """Choose what is redirected and what each binary then takes from which native library.

    `mentioned` are file names of vendored copies that the wheel's Python code speaks of: those stay.
    """
    redirects: list[Redirect] = []
    findings: list[Finding] = list(_left_alone(binaries, natives))
    elf = [binary for binary in binaries if binary.linkage.format is BinaryFormat.ELF]
    for soname in sorted({needed for b in elf for needed in b.linkage.needed}):
        vendored = _vendored(soname, binaries)
        known = natives.replacing(soname, vendored=vendored is not None)
        if known is None or natives.named(soname) is not None:
            continue
        objection = _objection(soname, vendored, known, binaries, natives, mentioned)
        if objection is None:
            redirects.append(Redirect(soname=soname, known=known, vendored=vendored.member if vendored else None))
        else:
            findings.append(_kept(soname, known, vendored, objection))
    dropped = {r.vendored for r in redirects}
    targets = {r.soname: r.known for r in redirects}
    uses: dict[str, dict[str, frozenset[str]]] = {}
    for binary in binaries:
        if binary.member not in dropped and (taken := _taken(binary, targets, natives)):
            uses[binary.member] = taken
    return Graft(redirects=tuple(redirects), uses=uses, findings=tuple(findings))


def edits(
    binary: Binary, graft: Graft, natives: Natives, *, emptied: frozenset[str], musl_libc: str | None = None
) -> FileEdit:
    """The changes of one binary that stays. `emptied` are the wheel's folders that hold no binary any more, now that
    vendored copies are gone; `musl_libc` is the name that musl's libc has on users' machines (zig writes ``libc.so``).
    """
    return _EDITS[binary.linkage.format](binary, graft, natives, emptied, musl_libc)


def _elf_edits(
    binary: Binary, graft: Graft, natives: Natives, emptied: frozenset[str], musl_libc: str | None
) -> FileEdit:
    new_names = {r.soname: r.known.shared_name for r in graft.redirects}
    if musl_libc is not None:
        new_names["libc.so"] = musl_libc
    replace = tuple((n, new_names[n]) for n in dict.fromkeys(binary.linkage.needed) if n in new_names)
    remove = tuple(n for n in dict.fromkeys(binary.linkage.needed) if is_libpython(n))
    remove = () if binary.linkage.is_executable else remove  # a program that embeds Python does need it
    old = binary.linkage.runpath or binary.linkage.rpath
    native_folders = _native_folders(binary, graft, natives)
    if binary.place is None:
        kept = [entry for entry in old if LOOKUPS[BinaryFormat.ELF].below_origin(entry) is not None]
        entries = None if tuple(kept) == old else tuple(kept)
        return FileEdit(replace_needed=replace, remove_needed=remove, runpath=entries)
    wanted = _run_path(binary, old, natives, native_folders, emptied)
    right = wanted == old and not (native_folders and binary.linkage.rpath)
    return FileEdit(replace_needed=replace, remove_needed=remove, runpath=None if right else wanted)


def _macho_edits(
    binary: Binary, graft: Graft, natives: Natives, emptied: frozenset[str], _musl_libc: str | None
) -> FileEdit:
    """Files that take nothing from a native wheel stay as they are: they may be signed by somebody."""
    native_folders = _native_folders(binary, graft, natives)
    if binary.place is None or not native_folders:
        return FileEdit()
    old = binary.linkage.runpath
    wanted = _run_path(binary, old, natives, native_folders, emptied)
    return FileEdit(runpath=None if wanted == old else wanted)


def _no_edits(*_: object) -> FileEdit:
    """Windows knows no run paths, and names are never rewritten."""
    return FileEdit()


_EDITS: Mapping[BinaryFormat, Callable[[Binary, Graft, Natives, frozenset[str], str | None], FileEdit]] = {
    BinaryFormat.ELF: _elf_edits,
    BinaryFormat.PE: _no_edits,
    BinaryFormat.MACHO: _macho_edits,
}


def _native_folders(binary: Binary, graft: Graft, natives: Natives) -> list[str]:
    known = [natives.named(name) for name in graft.uses.get(binary.member, ())]
    return sorted({k.directory for k in known if k is not None})


def _run_path(
    binary: Binary, old: tuple[str, ...], natives: Natives, native_folders: Sequence[str], emptied: frozenset[str]
) -> tuple[str, ...]:
    """From where the binary lies to what it needs: entries that stay inside the site directory, then the natives'."""
    lookup = LOOKUPS[binary.linkage.format]
    stale = {k.directory for k in natives} | emptied
    kept = [e for e in old if (place := _resolve(lookup, e, binary.folder)) is not None and place not in stale]
    return tuple(dict.fromkeys((*kept, *(_relative(lookup, binary.folder, folder) for folder in native_folders))))


def _vendored(soname: str, binaries: Sequence[Binary]) -> Binary | None:
    return next((b for b in binaries if soname in b.names and b.linkage.format is BinaryFormat.ELF), None)


def _objection(
    soname: str,
    vendored: Binary | None,
    known: KnownLibrary,
    binaries: Sequence[Binary],
    natives: Natives,
    mentioned: frozenset[str],
) -> str | None:
    """Why a library must not be redirected; None if it is proven that every imported symbol is there."""
    if vendored is not None and not mentioned.isdisjoint(vendored.names):
        return f"the wheel's Python code speaks of {vendored.member}"
    offered = natives.exports(known)
    replaced = exported(vendored.linkage) if vendored else None
    for binary in binaries:
        if soname not in binary.linkage.needed or binary is vendored:
            continue
        if replaced is None and (other := _other_provider(binary, soname, binaries, natives)):
            return f"{binary.member} also needs {other}, so it is not known which symbols it takes from {soname}"
        candidates = (s for s in binary.linkage.imports if _may_come_from(s, soname, replaced))
        found = _known_elsewhere(binary, soname, binaries, natives) if replaced is None else frozenset()
        missing = sorted({s.name for s in candidates if s.name not in found and not _is_offered(s, offered)})
        if missing:
            return f"{binary.member} imports {some(missing, _LISTED)}, which it does not export"
    return None


def _may_come_from(symbol: Symbol, soname: str, replaced: Mapping[str, frozenset[str]] | None) -> bool:
    if symbol.library:
        return symbol.library == soname
    if replaced is not None:
        return symbol.name in replaced
    return not symbol.version and not symbol.weak and not symbol.name.startswith(_PYTHON)


def _is_offered(symbol: Symbol, offered: Mapping[str, frozenset[str]]) -> bool:
    return symbol.name in offered and (not symbol.version or symbol.version in offered[symbol.name])


def _other_provider(binary: Binary, soname: str, binaries: Sequence[Binary], natives: Natives) -> str | None:
    """A needed library, beside `soname`, that could provide any unversioned name."""
    for needed in binary.linkage.needed:
        if needed == soname or is_versioned(needed) or is_libpython(needed):
            continue
        if natives.named(needed) or _vendored(needed, binaries):
            continue
        if natives.replacing(needed, vendored=False) is None:
            return needed
    return None


def _known_elsewhere(binary: Binary, soname: str, binaries: Sequence[Binary], natives: Natives) -> frozenset[str]:
    """Symbols that the other libraries it needs are known to export."""
    found: set[str] = set()
    for needed in binary.linkage.needed:
        if needed == soname:
            continue
        if known := natives.named(needed) or natives.replacing(needed, vendored=False):
            found.update(natives.exports(known))
        elif vendored := _vendored(needed, binaries):
            found.update(exported(vendored.linkage))
    return frozenset(found)


def _taken(binary: Binary, targets: Mapping[str, KnownLibrary], natives: Natives) -> dict[str, frozenset[str]]:
    taken: dict[str, frozenset[str]] = {}
    for needed in binary.linkage.needed:
        if known := targets.get(needed) or natives.named(needed):
            imported = {s.name for s in binary.linkage.taken if s.version or s.library in ("", needed)}
            taken[known.shared_name] = frozenset(imported.intersection(natives.exports(known)))
    return taken


def _left_alone(binaries: Sequence[Binary], natives: Natives) -> Iterator[Finding]:
    """Copies in Windows and macOS wheels: the names in such files are never rewritten, so they stay."""
    for binary in binaries:
        known = natives.resembling(binary.member) if binary.linkage.format is not BinaryFormat.ELF else None
        if known is not None:
            yield Finding(
                check="redirect",
                severity=Severity.WARNING,
                file=binary.member,
                fact=f"is the wheel's own copy of a library that {known.distribution} shares as "
                f"{known.shared_name}; it stays, since names in such files are not rewritten",
                fix=f"link the wheel to {known.distribution} when it is built",
            )


def _kept(soname: str, known: KnownLibrary, vendored: Binary | None, objection: str) -> Finding:
    holder = vendored.member if vendored else soname
    return Finding(
        check="redirect",
        severity=Severity.WARNING,
        file=holder,
        fact=f"{soname} is not redirected to {known.shared_name} of {known.distribution}: {objection}",
        fix=f"link it to {known.distribution} at build time, or use a newer {known.distribution}",
    )


def _relative(lookup: Lookup, folder: str, target: str) -> str:
    relative = posixpath.relpath(target, folder or ".")
    return lookup.origins[0] if relative == "." else f"{lookup.origins[0]}/{relative}"


def _resolve(lookup: Lookup, entry: str, folder: str) -> str | None:
    """The folder below the site directory that a run path entry means; None if it is absolute or leaves it."""
    rest = lookup.below_origin(entry)
    if rest is None or "$" in rest:
        return None
    place = below(folder, rest)
    return None if place.split("/", 1)[0] == ".." else "" if place == "." else place
