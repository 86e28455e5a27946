"""No wheel carries its own copy of a library that the farm shares."""

from __future__ import annotations

from collections.abc import Iterator

from farm.binary.elf_file import ElfFile
from farm.binary.elf_symbols import functions_of
from farm.binary.lookup import LOOKUPS
from farm.errors import BinaryFormatError
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding
from farm.model.shown import some
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.system_libraries import stem

_COPIED = 8  # functions of one library found inside a binary: fewer may share names by chance


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    foreign = [known for known in policy.libraries.values() if known.distribution != wheel.name.project]
    own = {library.shared_name for library in wheel.manifest.library} if wheel.manifest else set()
    stems = {found: known for known in foreign for found in _stems(known)}
    for file, linkage in wheel.binaries.items():
        key = LOOKUPS[linkage.format].key
        names = {file.rpartition("/")[2], key(linkage.soname)}
        if not own.isdisjoint(names):
            continue
        copy = next((stems[found] for name in sorted(names) if (found := stem(key(name))) in stems), None)
        if copy is not None:
            yield CHECK.finding(
                file,
                f"is the wheel's own copy of a library that {copy.distribution} shares as {copy.shared_name}",
                severity=policy.house,
            )
            continue
        yield from _static_copies(wheel, file, linkage, foreign, policy)


def _stems(known: KnownLibrary) -> set[str]:
    return {stem(name) for name in (known.shared_name, *known.library.replaces)} - {""}


def _static_copies(
    wheel: WheelContents, file: str, linkage: Linkage, foreign: list[KnownLibrary], policy: AuditPolicy
) -> Iterator[Finding]:
    if not foreign:
        return
    defined = _defined_functions(file, wheel.files[file], linkage)
    for known in foreign:
        shared = sorted(defined & _functions(known.linkage))
        if len(shared) >= _COPIED:
            yield CHECK.finding(
                file,
                f"holds a static copy of {known.shared_name} ({known.distribution}): {len(shared)} of its functions, "
                f"such as {some(shared, 3)}",
                severity=policy.house,
            )


def _functions(linkage: Linkage) -> set[str]:
    return {symbol.name for symbol in linkage.exports if symbol.kind in ("func", "ifunc")}


def _defined_functions(file: str, data: bytes, linkage: Linkage) -> set[str]:
    defined = _functions(linkage)
    if linkage.format is BinaryFormat.ELF:
        try:
            defined |= {function.name for function in functions_of(ElfFile(data, file))}
        except BinaryFormatError:  # the symbol table that only debuggers read is broken; the dynamic one was fine
            return defined
    return defined


CHECK = Check(
    name="vendored-copies",
    meaning="The wheel holds no copy of a library that a native wheel of the farm shares, neither as a file (also "
    "under a name with a hash, as repair tools make them) nor linked in statically.",
    remedy="build against the native wheel (requires.host), or run `farm repair` on the wheel",
    run=_run,
)
