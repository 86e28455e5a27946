"""Make a wheel use the farm's native wheels: the one repair, for the farm's own builds and for wheels from elsewhere.

`repair` is a function of the wheel's bytes, the natives' manifests and exports, and the options. It decides everything
before it writes, changes only the members that must change, and changes nothing in a wheel that is already right.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.errors import UsageError
from farm.model.binary import BinaryFormat
from farm.model.finding import Finding, Severity
from farm.repair import contents, graft, platforms
from farm.repair.bounds import Need
from farm.repair.contents import Contents
from farm.repair.graft import Binary
from farm.repair.job import Job, Uses, all_uses, decide, needs
from farm.repair.natives import Natives
from farm.repair.options import RepairOptions
from farm.repair.packages import loaders
from farm.repair.patch import patched
from farm.wheel import sbom
from farm.wheel.archive import WheelArchive
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.metadata import project_of
from farm.wheel.names import musl_libc
from farm.wheel.pack import new_wheel
from farm.wheel.system_libraries import is_libpython

SBOM = "sboms/native-libraries.cdx.json"
_LEVEL = 6  # every extension module is packed anew; 9 would take most of the time for 0.6 % of the size
_STRIPPED = frozenset({BinaryFormat.ELF, BinaryFormat.MACHO})  # formats whose debug information can be taken out
_AUDITWHEEL_SBOM = "sboms/auditwheel.cdx.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairResult:
    """What was done. `redirected` maps the old needed name to the shared name; `removed` are members that are gone."""

    wheel: Path
    changed: bool
    platform: str
    requirements: tuple[str, ...]
    redirected: Mapping[str, str]
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]


def repair(wheel: Path, out_dir: Path, natives: Natives, options: RepairOptions | None = None) -> RepairResult:
    """Write the repaired wheel to `out_dir` (its name has the new platform tag) and say what was done.

    Raises BinaryFormatError for a wheel that is damaged or lies, GateError if the binaries do not allow the platform
    tag, CatalogError if two natives claim one name.
    """
    options = options or RepairOptions()
    try:
        with WheelArchive.open(wheel) as archive:
            job = decide(archive, natives, options.platform, linked=options.linked)
            uses = all_uses(job)
            wanted = needs(job, uses)
            tag = _platform(job, options)
            changes, findings = _changes(job, uses, wanted, tag, options)
    except FileNotFoundError as error:
        raise UsageError("does not exist", where=str(wheel), fix="check the path of the wheel") from error
    changed = changes != WheelEdits(epoch_seconds=options.epoch_seconds, level=_LEVEL)
    return RepairResult(
        wheel=edit(wheel, out_dir, changes) if changed else _copy(wheel, out_dir),
        changed=changed,
        platform=tag,
        requirements=tuple(need.requirement for need in wanted),
        redirected={r.soname: r.known.shared_name for r in job.graft.redirects},
        removed=tuple(sorted(changes.remove)),
        findings=(*job.graft.findings, *findings),
    )


def _changes(
    job: Job, uses: Uses, wanted: Sequence[Need], platform: str, options: RepairOptions
) -> tuple[WheelEdits, tuple[Finding, ...]]:
    added, stale, findings = loaders(job, uses)
    put = {**_binaries(job, strip_debug=options.strip_debug), **added}
    remove: frozenset[str] = job.graft.dropped | stale
    if job.graft.dropped and job.archive.dist_info_file(_AUDITWHEEL_SBOM) in job.archive.members:
        remove |= frozenset({job.archive.dist_info_file(_AUDITWHEEL_SBOM)})  # it lists the copies that are gone
    if wanted:
        put[job.archive.dist_info_file(SBOM)] = _sbom(job, wanted)
    name = job.archive.name
    lines = job.contents.headers.all("Requires-Dist")
    required = {project_of(line) for line in lines}
    if job.contents.purelib and job.contents.binaries:
        findings.append(_purelib(job))
    changes = WheelEdits(
        put={member: data for member, data in put.items() if not _is_same(job.archive, member, data)},
        remove=remove,
        requires_replace={
            n.distribution: n.requirement
            for n in wanted
            if n.distribution in required and not _is_required(job.contents, n)
        },
        requires_add=(
            *(n.requirement for n in wanted if n.distribution not in required),
            *(line for line in dict.fromkeys(options.requires) if line not in lines),
        ),
        tag=f"{name.python}-{name.abi}-{platform}" if platform != name.platform else None,
        build=options.build if options.build != name.build else None,
        epoch_seconds=options.epoch_seconds,
        level=_LEVEL,
    )
    return changes, tuple(findings)


def _is_same(archive: WheelArchive, member: str, data: bytes) -> bool:
    return member in archive.members and archive.members[member].size == len(data) and archive.read(member) == data


def _is_required(look: Contents, need: Need) -> bool:
    lines = [line for line in look.headers.all("Requires-Dist") if project_of(line) == need.distribution]
    return lines == [need.requirement]


def _binaries(job: Job, *, strip_debug: bool) -> dict[str, bytes]:
    """New content of the binaries that change."""
    left = contents.folders(b.place for b in job.staying if b.place is not None)
    before = contents.folders(b.place for b in job.contents.binaries if b.place is not None)
    libc = musl_libc(job.arch) if job.family == "musl" else None
    found: dict[str, bytes] = {}
    for binary in job.staying:
        change = graft.edits(binary, job.graft, job.natives, emptied=before - left, musl_libc=libc)
        linkage = binary.linkage
        if strip_debug and linkage.format in _STRIPPED and linkage.has_debug_info:
            change = replace(change, strip_debug=True)
        if not change.is_empty:
            found[binary.member] = patched(
                job.archive.read(binary.member), change, f"{job.archive.path}: {binary.member}"
            )
    return found


def _platform(job: Job, options: RepairOptions) -> str:
    """The platform part of the new tag."""
    old, where = job.archive.name.platform, job.archive.path.name
    known = frozenset(k.shared_name for k in job.natives)
    binaries = _as_repaired(job)
    used = {shared for uses in job.graft.uses.values() for shared in uses}
    tags = [k.manifest.platform for k in job.natives if k.shared_name in used]
    if options.platform:
        platforms.check(binaries, options.platform, natives=tags, known=known, where=where)
        return options.platform
    if not binaries or not all(tag.startswith("linux_") for tag in old.split(".")):
        return old
    return platforms.lowest(binaries, job.family, job.arch, natives=tags, known=known, where=where)


def _as_repaired(job: Job) -> tuple[Binary, ...]:
    """The binaries that stay, with the names they will need."""
    names = {r.soname: r.known.shared_name for r in job.graft.redirects}
    if job.family == "musl":
        names["libc.so"] = musl_libc(job.arch)
    return tuple(
        replace(b, linkage=replace(b.linkage, needed=tuple(names.get(n, n) for n in _kept_needed(b))))
        for b in job.staying
    )


def _kept_needed(binary: Binary) -> tuple[str, ...]:
    linkage = binary.linkage
    return tuple(n for n in linkage.needed if linkage.is_executable or not is_libpython(n))


def _sbom(job: Job, wanted: Sequence[Need]) -> bytes:
    """Names the native wheels, by the oldest version that will do: a newer one changes nothing here."""
    name = job.archive.name
    project, version = str(name.project), str(name.parsed_version)
    subject = sbom.Component(name=project, version=version, purl=sbom.pypi_purl(project, version))
    depends = [
        sbom.Component(
            name=n.distribution,
            version=n.lower,
            purl=sbom.pypi_purl(n.distribution, n.lower),
            properties=(("farm:requires", n.requirement),),
        )
        for n in wanted
    ]
    return sbom.bom(subject, depends_on=depends)


def _purelib(job: Job) -> Finding:
    return Finding(
        check="purelib",
        severity=Severity.ERROR,
        file=job.archive.dist_info_file("WHEEL"),
        fact="Root-Is-Purelib is true, but the wheel holds binaries",
        fix="make the build backend build a platform wheel (setuptools: ext_modules or has_ext_modules)",
    )


def _copy(wheel: Path, out_dir: Path) -> Path:
    """The wheel as it is, in `out_dir`, in one step."""
    target = out_dir / wheel.name
    if not (target.exists() and target.samefile(wheel)):
        with new_wheel(target) as writer, wheel.open("rb") as reader:
            shutil.copyfileobj(reader, writer)
    return target
