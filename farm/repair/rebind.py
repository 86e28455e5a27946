"""Move a finished dependent to other ABI epochs of its native libraries, without building it.

The references are renamed in place, then the wheel goes through the same `repair` as any other, which computes bounds,
loader and SBOM for the new natives, and through the same audit as a build. Only what must change does. Which dependents
may be rebound on an ABI break is decided before, from the ABIs (docs/rebinding.md); here it is proven that every
imported symbol is there.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import GateError, UsageError
from farm.gates.audit import AuditPolicy
from farm.model.finding import Finding, Severity
from farm.model.rebound import FileIdentity, Rebinding, Rebound
from farm.repair import contents, platforms, rebind_audit, rebind_proof, rename
from farm.repair.contents import Contents
from farm.repair.move import BUILD_INSTEAD, Move
from farm.repair.natives import Natives
from farm.repair.options import RepairOptions
from farm.repair.provenance import PROVENANCE, rebindings
from farm.repair.repair import SBOM, RepairResult, repair
from farm.store.files import file_sha256
from farm.wheel import native_libraries, native_manifest, record
from farm.wheel.archive import WheelArchive
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.metadata import project_of
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.pack import new_wheel

_LEVEL = 6  # of deflate, as `repair` packs
_DIGITS = 8  # of the hash in a build tag
_BUILD_TAG = re.compile(rf"(?P<base>[0-9].*?)(?:r(?P<count>[0-9]{{2}})\.[0-9a-f]{{{_DIGITS}}})?")
_MOST_REBINDINGS = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class RebindResult:
    """What was done. `moved` maps the file name of each library before to the one after; `requirements` are those for
    native wheels that the wheel has now; `findings` are warnings and notes."""

    wheel: Path
    moved: Mapping[str, str]
    requirements: tuple[str, ...]
    findings: tuple[Finding, ...]


def rebind(wheel: Path, natives: Mapping[str, Path], out: Path) -> Path:
    """Write the dependent `wheel`, moved to the native wheels in `natives`, to `out` and return its path.

    `natives` maps each native library that the dependent needs, by its recipe's name or its distribution's, to the
    native wheel that it is to need from now on, those that stay in their epoch too. The result's build tag sorts after
    the input's (PEP 427), so installers prefer it; the same input gives the same bytes. Nothing is written unless
    everything is right.

    Raises GateError if it cannot be proven right (build it instead): a symbol is missing, a name has another length or
    is written in other places, the wheel was not made by this farm, the audit refuses the result; BinaryFormatError
    for a wheel that is damaged or lies; UsageError for files that do not exist, natives that are no native wheels or
    not what they are called, a wheel that needs no move, and a result that exists already.
    """
    return rebound(wheel, natives, out).wheel


def rebound(
    wheel: Path,
    natives: Mapping[str, Path],
    out: Path,
    *,
    policy: AuditPolicy | None = None,
    options: RepairOptions | None = None,
) -> RebindResult:
    """`rebind`, with a report. `policy` is what the audit holds the result to: that of its recipe and platform; without
    it no error may be there that the wheel did not have before. `options` are those of the repair."""
    known = _load(natives)
    try:
        with tempfile.TemporaryDirectory(prefix="farm-rebind-") as scratch:
            moves, moved = _move(wheel, known, out, Path(scratch) / "moved")
            done = repair(moved, Path(scratch) / "repaired", known, options)
            _refuse_more(done, moves, wheel)
            findings = rebind_audit.findings(done, wheel, moves, tuple(natives.values()), policy)
            return RebindResult(
                wheel=_publish(done.wheel, out),
                moved={move.old: move.new for move in moves.values()},
                requirements=done.requirements,
                findings=findings,
            )
    except FileNotFoundError as error:
        raise UsageError("does not exist", where=str(error.filename or wheel), fix="check its path") from error


def _load(natives: Mapping[str, Path]) -> Natives:
    found: list[KnownLibrary] = []
    for name, path in natives.items():
        libraries = tuple(native_libraries.load([path]))
        record.verify(path)  # what is proven by its symbols must be true of what users get
        for library in libraries:
            if name not in (library.manifest.name, library.distribution):
                raise UsageError(f"is {library.distribution}, not {name}", where=str(path), fix="give the right wheel")
        found += libraries
    return Natives(found)


def _move(wheel: Path, known: Natives, out: Path, folder: Path) -> tuple[dict[str, Move], Path]:
    """The wheel with other references and a raised build tag, in `folder`."""
    with WheelArchive.open(wheel) as archive:
        look = contents.look(archive)
        family, arch = platforms.family_of(look.binaries, archive.name.platform.partition(".")[0])
        usable = known.for_platform(family, arch)
        _check_maker(archive)
        moves = rebind_proof.moves(look.binaries, usable, wheel.name)
        if not moves:
            raise UsageError(
                "has nothing to rebind: it needs the libraries of these native wheels already, or none of the farm",
                where=wheel.name,
                fix="name native wheels of another ABI epoch",
            )
        rebind_proof.agree(usable, wheel.name)
        _check_requirements(look, moves, wheel.name)
        rebind_proof.prove(look.binaries, moves, usable, arch, wheel.name)
        changes = _changes(archive, look, moves)
    target = out / archive.name.with_build(changes.build or "").filename
    if target.exists():
        raise _exists(target)
    return moves, edit(wheel, folder, changes)


def _publish(wheel: Path, out: Path) -> Path:
    target = out / wheel.name
    try:
        with new_wheel(target, replace=False) as writer, wheel.open("rb") as reader:
            shutil.copyfileobj(reader, writer)
    except FileExistsError as error:
        raise _exists(target) from error
    return target


def _exists(target: Path) -> UsageError:
    return UsageError("exists already", where=str(target), fix="remove it, or give another directory")


def _check_maker(archive: WheelArchive) -> None:
    """Only what `farm repair` made is understood in every part."""
    if archive.dist_info_file(native_manifest.MANIFEST) in archive.members:
        raise GateError(
            "is a native wheel: others may see what it is linked to through its own ABI",
            where=archive.path.name,
            fix=BUILD_INSTEAD,
        )
    if archive.dist_info_file(SBOM) not in archive.members:
        raise GateError(
            f"was not made by this farm: it has no {SBOM} in its .dist-info",
            where=archive.path.name,
            fix="rebind wheels that `farm build` or `farm repair` wrote; build others with the farm",
        )


def _check_requirements(look: Contents, moves: Mapping[str, Move], where: str) -> None:
    required = {project_of(line) for line in look.headers.all("Requires-Dist")}
    for move in moves.values():
        if move.distribution not in required:
            raise GateError(
                f"was not made by this farm: it needs {move.old} and does not require {move.distribution}",
                where=where,
                fix=BUILD_INSTEAD,
            )


def _changes(archive: WheelArchive, look: Contents, moves: Mapping[str, Move]) -> WheelEdits:
    linkages = {binary.member: binary.linkage for binary in look.binaries}
    put: dict[str, bytes] = {}
    for member in archive.members:
        content = before = archive.read(member)
        if member in linkages:
            content = rename.renamed(before, linkages[member], moves, f"{archive.path.name}: {member}")
        if content != before:
            put[member] = content
        if member != archive.dist_info_file(PROVENANCE) and (name := rename.left_over(content, moves)):
            raise GateError(
                f"{member} names {name} in a place that is no reference to a library",
                where=archive.path.name,
                fix=BUILD_INSTEAD,
            )
    provenance = _provenance(archive, moves)
    put[archive.dist_info_file(PROVENANCE)] = provenance
    return WheelEdits(put=put, build=raised(archive.name.build, provenance, archive.path.name), level=_LEVEL)


def raised(build: str, provenance: bytes, where: str) -> str:
    """The build tag of a rebound wheel: ``0r01.<hash>`` after none, ``2r01.<hash>`` after ``2``, then ``2r02.<hash>``.

    It sorts after the old tag and before the next number, which the next revision of a recipe has. The hash is of what
    was rebound to what: no two wheels have one name. Raises GateError after the 99th time.
    """
    match = _BUILD_TAG.fullmatch(build or "0")
    assert match is not None
    count = int(match["count"] or 0) + 1
    if count > _MOST_REBINDINGS:
        raise GateError(f"was rebound {_MOST_REBINDINGS} times", where=where, fix=BUILD_INSTEAD)
    return f"{match['base']}r{count:02d}.{hashlib.sha256(provenance).hexdigest()[:_DIGITS]}"


def _provenance(archive: WheelArchive, moves: Mapping[str, Move]) -> bytes:
    origins = {move.distribution: move.origin for move in moves.values()}
    step = Rebinding(
        wheel=_identity(archive.path),
        moved={move.old: move.new for move in moves.values()},
        natives={distribution: _identity(path) for distribution, path in origins.items()},
    )
    return (Rebound(rebound=(*rebindings(archive), step)).model_dump_json(indent=1) + "\n").encode()


def _identity(path: Path) -> FileIdentity:
    return FileIdentity(filename=path.name, sha256=file_sha256(path))


def _refuse_more(done: RepairResult, moves: Mapping[str, Move], wheel: Path) -> None:
    """Rebinding changes references that are there; it never takes copies out of a wheel."""
    if done.redirected or done.removed:
        what = ", ".join((*done.redirected, *done.removed))
        raise GateError(
            f"would change in more than {', '.join(m.old for m in moves.values())}: {what}",
            where=wheel.name,
            fix=BUILD_INSTEAD,
        )
    errors = [finding for finding in done.findings if finding.severity is Severity.ERROR]
    if errors:
        raise GateError(f"{errors[0].file}: {errors[0].fact}", where=wheel.name, fix=errors[0].fix)
