"""May a dependent be moved to other epochs of its native libraries? Decided from the files alone, before a byte is
written. What is not proven is refused: a rebuild is always right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from farm.binary.lookup import LOOKUPS
from farm.errors import GateError
from farm.gates import data
from farm.gates.checks.undefined import is_given
from farm.model import names
from farm.model.binary import Linkage, Symbol
from farm.model.names import SharedName
from farm.model.shown import some
from farm.repair import rename
from farm.repair.graft import Binary
from farm.repair.move import BUILD_INSTEAD, Move
from farm.repair.natives import Natives, exported
from farm.wheel.archive import WheelArchive
from farm.wheel.names import musl_libc
from farm.wheel.native_libraries import KnownLibrary

_LISTED = 5
# Weak symbols that compilers refer to in every file, whether anybody defines them or not.
_OF_COMPILERS = frozenset(
    {
        *("__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "_Jv_RegisterClasses"),
        *("__register_frame_info", "__deregister_frame_info", "__cxa_finalize"),
    }
)


def moves(binaries: Sequence[Binary], natives: Natives, where: str) -> dict[str, Move]:
    """The references that change, by the file name that is needed now.

    `natives` are those for the wheel's platform. Raises GateError if a needed library of the farm is in none of them,
    or if its name there has another length.
    """
    found: dict[str, Move] = {}
    for needed in sorted({LOOKUPS[b.linkage.format].key(n) for b in binaries for n in b.linkage.needed}):
        parsed = names.parse_shared_name(needed)
        if parsed is None or natives.named(needed) is not None:
            continue
        known = _heir(parsed, natives)
        if known is None:
            raise GateError(
                f"needs {needed}, and no native wheel that was given brings it for this platform in any epoch",
                where=where,
                fix=f"give all native wheels that it needs, those that stay too; otherwise {BUILD_INSTEAD}",
            )
        if len(known.shared_name) != len(needed):
            raise GateError(
                f"needs {needed}; {known.distribution} {known.version} calls it {known.shared_name}, "
                "a name of another length, which cannot be written in its place",
                where=where,
                fix=BUILD_INSTEAD,
            )
        found[needed] = Move(
            old=needed,
            new=known.shared_name,
            distribution=known.distribution,
            version=str(known.version),
            origin=Path(known.origin),
            library=_content(known),
        )
    return found


def agree(natives: Natives, where: str) -> None:
    """Raise GateError if one native wheel requires another in an epoch that was not given: a process would get both."""
    manifests = {known.distribution: known.manifest for known in natives}
    for manifest in manifests.values():
        for line in manifest.requires:
            requirement = Requirement(line)
            other = manifests.get(canonicalize_name(requirement.name))
            if other and not requirement.specifier.contains(other.version, prereleases=True):
                raise GateError(
                    f"{manifest.distribution} {manifest.version} requires {line}, "
                    f"and it would get {other.distribution} {other.version}",
                    where=where,
                    fix=f"build {manifest.distribution} with the new {other.distribution} first, and give that wheel",
                )


def _heir(parsed: SharedName, natives: Natives) -> KnownLibrary | None:
    """The same library in another epoch."""
    for known in natives:
        other = names.parse_shared_name(known.shared_name)
        if other is not None and parsed.library in (other.library, known.library.link_name):
            return known
    return None


def _content(known: KnownLibrary) -> bytes:
    with WheelArchive.open(Path(known.origin)) as archive:
        return archive.read(f"{known.directory}/{known.shared_name}")


def prove(binaries: Sequence[Binary], moves_: Mapping[str, Move], natives: Natives, arch: str, where: str) -> None:
    """Raise GateError unless all that the binaries import will be there when they need the new libraries.

    `arch` is the architecture of the wheel's tag. Imports that name their library (PE, Mach-O, versioned ELF) must be
    exported by it, in the same version; all others by some library that the binary then needs.
    """
    after = {binary.member: rename.moved(binary.linkage, moves_) for binary in binaries}
    visible = {known.shared_name: known.linkage for known in natives}
    for binary in binaries:
        visible.update(dict.fromkeys(binary.keys, after[binary.member]))
    new = {move.new: move for move in moves_.values()}
    for member, linkage in after.items():
        reached = _reached(linkage, visible)
        if new.keys().isdisjoint(reached):
            continue
        lost = sorted({*_bound(linkage, new, visible), *_free(linkage, reached, visible, musl_libc(arch), arch)})
        if lost:
            of = ", ".join(sorted({f"{m.new} ({m.distribution} {m.version})" for m in moves_.values()}))
            raise GateError(
                f"{member} imports {some(lost, _LISTED)}, which it would not find with {of}",
                where=where,
                fix=BUILD_INSTEAD,
            )


def _reached(linkage: Linkage, visible: Mapping[str, Linkage]) -> tuple[str, ...]:
    """All libraries that are loaded for a binary, as far as they can be seen."""
    key = LOOKUPS[linkage.format].key
    found = list(dict.fromkeys(map(key, linkage.needed)))
    for name in found:
        if name in visible:
            found += [other for other in map(key, visible[name].needed) if other not in found]
    return tuple(found)


def _bound(linkage: Linkage, new: Mapping[str, Move], visible: Mapping[str, Linkage]) -> Iterator[str]:
    """Imports that name a moved library, which does not have them."""
    key = LOOKUPS[linkage.format].key
    offered = {name: exported(visible[name]) for name in new}
    for symbol in linkage.imports:
        versions = offered.get(key(symbol.library))
        if versions is not None and symbol.version not in versions.get(symbol.name, ()):
            yield f"{symbol.name}@{symbol.version}" if symbol.version else symbol.name


def _free(
    linkage: Linkage, reached: Sequence[str], visible: Mapping[str, Linkage], libc: str, arch: str
) -> Iterator[str]:
    """Imports that may come from any library, and that none is known to have."""
    known = {symbol.name for name in reached if name in visible for symbol in visible[name].exports}
    if libc in reached:
        known |= data.musl_symbols(arch)
    for symbol in linkage.imports:
        if not symbol.library and symbol.name not in known and not _is_nobodys(symbol):
            yield symbol.name


def _is_nobodys(symbol: Symbol) -> bool:
    return is_given(symbol.name) or (symbol.weak and symbol.name in _OF_COMPILERS)
