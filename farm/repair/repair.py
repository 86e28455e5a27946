"""Make a wheel use the farm's native wheels: the one repair, for the farm's own builds and for wheels from elsewhere.

`repair` is a function of the wheel's bytes, the natives' manifests and exports, and the options. It decides everything
before it writes, changes only the members that must change, and changes nothing in a wheel that is already right.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.binary.lookup import LOOKUPS
from farm.errors import BinaryFormatError, UsageError
from farm.model.finding import Finding, Severity
from farm.model.native import NativeManifest
from farm.repair import bounds, contents, graft, loader, platforms
from farm.repair.bounds import Need
from farm.repair.contents import Contents
from farm.repair.graft import Binary, Graft
from farm.repair.natives import Natives
from farm.repair.patch import patched
from farm.wheel import sbom
from farm.wheel.archive import WheelArchive
from farm.wheel.edit import WheelEdits, edit
from farm.wheel.metadata import project_of
from farm.wheel.names import musl_libc
from farm.wheel.pack import new_wheel
from farm.wheel.platforms import machines, platform_tag
from farm.wheel.system_libraries import is_libpython

SBOM = "sboms/native-libraries.cdx.json"
_LEVEL = 6  # every extension module is packed anew; 9 would take most of the time for 0.6 % of the size
_AUDITWHEEL_SBOM = "sboms/auditwheel.cdx.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOptions:
    """`platform` is the tag the wheel gets, after a check; None keeps a manylinux tag and computes one for ``linux_*``.
    `epoch_seconds` dates new members; None takes the wheel's own date. `requires` are further requirements (PEP 508),
    added unless the wheel has the very line; `build` is the build tag, None keeps what the wheel has."""

    platform: str | None = None
    epoch_seconds: int | None = None
    requires: tuple[str, ...] = ()
    build: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A wheel with all decisions about its binaries."""

    archive: WheelArchive
    contents: Contents
    natives: Natives
    graft: Graft
    family: str
    arch: str

    @property
    def staying(self) -> tuple[Binary, ...]:
        return tuple(b for b in self.contents.binaries if b.member not in self.graft.dropped)


def repair(wheel: Path, out_dir: Path, natives: Natives, options: RepairOptions | None = None) -> RepairResult:
    """Write the repaired wheel to `out_dir` (its name has the new platform tag) and say what was done.

    Raises BinaryFormatError for a wheel that is damaged or lies, GateError if the binaries do not allow the platform
    tag, CatalogError if two natives claim one name.
    """
    options = options or RepairOptions()
    try:
        with WheelArchive.open(wheel) as archive:
            job = _decide(archive, natives, options)
            needs = _needs(job, _all_uses(job))
            tag = _platform(job, options)
            changes, findings = _changes(job, needs, tag, options)
    except FileNotFoundError as error:
        raise UsageError("does not exist", where=str(wheel), fix="check the path of the wheel") from error
    changed = changes != WheelEdits(epoch_seconds=options.epoch_seconds, level=_LEVEL)
    return RepairResult(
        wheel=edit(wheel, out_dir, changes) if changed else _copy(wheel, out_dir),
        changed=changed,
        platform=tag,
        requirements=tuple(need.requirement for need in needs),
        redirected={r.soname: r.known.shared_name for r in job.graft.redirects},
        removed=tuple(sorted(changes.remove)),
        findings=(*job.graft.findings, *findings),
    )


def _decide(archive: WheelArchive, natives: Natives, options: RepairOptions) -> _Job:
    look = contents.look(archive)
    family, arch = platforms.family_of(look.binaries, archive.name.platform.partition(".")[0])
    asked = platform_tag(options.platform or "any")
    wanted, family = asked.arch, asked.family or family  # a module that needs no libc tells nothing of its own
    if options.platform and archive.name.platform != "any" and not machines(wanted) <= machines(arch):
        raise UsageError(
            f"is a wheel for {archive.name.platform}, it cannot be tagged {options.platform}",
            where=archive.path.name,
            fix=f"give a --platform of {arch}",
        )
    usable = natives.for_platform(family, arch)
    decisions = graft.decide(look.binaries, usable)
    copies = {b.member: b.names for b in look.binaries if b.member in decisions.dropped}
    if spoken_of := contents.mentions(archive, frozenset().union(*copies.values())):
        decisions = graft.decide(look.binaries, usable, mentioned=spoken_of)
    return _Job(archive=archive, contents=look, natives=usable, graft=decisions, family=family, arch=arch)


def _changes(
    job: _Job, needs: Sequence[Need], platform: str, options: RepairOptions
) -> tuple[WheelEdits, tuple[Finding, ...]]:
    loaders, stale, findings = _loaders(job)
    put = {**_binaries(job), **loaders}
    remove: frozenset[str] = job.graft.dropped | stale
    if job.graft.dropped and job.archive.dist_info_file(_AUDITWHEEL_SBOM) in job.archive.members:
        remove |= frozenset({job.archive.dist_info_file(_AUDITWHEEL_SBOM)})  # it lists the copies that are gone
    if needs:
        put[job.archive.dist_info_file(SBOM)] = _sbom(job, needs)
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
            for n in needs
            if n.distribution in required and not _is_required(job.contents, n)
        },
        requires_add=(
            *(n.requirement for n in needs if n.distribution not in required),
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


def _all_uses(job: _Job) -> dict[str, dict[str, frozenset[str]]]:
    """Shared name -> symbols for each member, with what it takes through vendored libraries of the same wheel."""
    by_name = {name: binary for binary in job.staying for name in binary.keys}
    found: dict[str, dict[str, frozenset[str]]] = {}

    def visit(binary: Binary, path: tuple[str, ...]) -> dict[str, frozenset[str]]:
        if binary.member in found or binary.member in path:
            return found.get(binary.member, {})
        uses = dict(job.graft.uses.get(binary.member, {}))
        for needed in map(LOOKUPS[binary.linkage.format].key, binary.linkage.needed):
            if needed in by_name:
                for shared, symbols in visit(by_name[needed], (*path, binary.member)).items():
                    uses[shared] = uses.get(shared, frozenset()) | symbols
        found[binary.member] = uses
        return uses

    for binary in job.staying:
        visit(binary, ())
    return found


def _needs(job: _Job, uses: Mapping[str, Mapping[str, frozenset[str]]]) -> tuple[Need, ...]:
    """What the members in `uses` need, in load order."""
    symbols: dict[str, set[str]] = {}
    for taken in uses.values():
        for shared, names in taken.items():
            symbols.setdefault(shared, set()).update(names)
    manifests: dict[str, NativeManifest] = {}
    by_distribution: dict[str, set[str]] = {}
    for shared, used in symbols.items():
        known = job.natives.named(shared)
        assert known is not None
        manifests[known.distribution] = known.manifest
        by_distribution.setdefault(known.distribution, set()).update(used)
    everything = {**{k.distribution: k.manifest for k in job.natives}, **manifests}
    return bounds.in_load_order((bounds.need(manifests[d], used) for d, used in by_distribution.items()), everything)


def _binaries(job: _Job) -> dict[str, bytes]:
    """New content of the binaries that change."""
    left = contents.folders(b.place for b in job.staying if b.place is not None)
    before = contents.folders(b.place for b in job.contents.binaries if b.place is not None)
    libc = musl_libc(job.arch) if job.family == "musl" else None
    found: dict[str, bytes] = {}
    for binary in job.staying:
        change = graft.edits(binary, job.graft, job.natives, emptied=before - left, musl_libc=libc)
        if not change.is_empty:
            found[binary.member] = patched(
                job.archive.read(binary.member), change, f"{job.archive.path}: {binary.member}"
            )
    return found


def _loaders(job: _Job) -> tuple[dict[str, bytes], frozenset[str], list[Finding]]:
    """The loader of each package that needs one: changed members, byte code that would hide them, warnings."""
    uses = _all_uses(job)
    packages: dict[str, dict[str, Mapping[str, frozenset[str]]]] = {}
    findings: list[Finding] = []
    needed_inside = {LOOKUPS[b.linkage.format].key(needed) for b in job.staying for needed in b.linkage.needed}
    for binary in job.staying:
        if not uses[binary.member]:
            continue
        package = None if binary.place is None else job.contents.package_of(binary.place)
        if package is not None:
            packages.setdefault(package, {})[binary.member] = uses[binary.member]
        elif needed_inside.isdisjoint(binary.keys):
            findings.append(_no_loader(binary))
    put: dict[str, bytes] = {}
    stale: set[str] = set()
    for package, members in sorted(packages.items()):
        put.update(_loader(job, package, _needs(job, members)))
        stale.update(
            m for p, m in job.contents.places.items() if p.startswith(f"{package}/__pycache__/__init__.")
        )  # compiled from the old __init__.py; an unchecked one would hide the new
    return put, frozenset(stale), findings


def _loader(job: _Job, package: str, needs: Sequence[Need]) -> dict[str, bytes]:
    init = job.contents.places[f"{package}/__init__.py"]
    folder = posixpath.dirname(init)
    for module in loader.MODULE_NAMES:
        member = job.contents.places.get(f"{package}/{module}.py")
        if member is None or loader.is_ours(job.archive.read(member)):
            break
    else:
        raise BinaryFormatError(
            f"has modules named {' and '.join(loader.MODULE_NAMES)} of its own",
            where=folder,
            fix="rename one of them in the project: the farm needs the name for its loader",
        )
    name = job.archive.name
    where = f"{job.archive.path}: {init}"
    return {
        f"{folder}/{module}.py": loader.module_source(name.project, str(name.parsed_version), needs),
        init: loader.inject(job.archive.read(init), module, where),
    }


def _platform(job: _Job, options: RepairOptions) -> str:
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


def _as_repaired(job: _Job) -> tuple[Binary, ...]:
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


def _sbom(job: _Job, needs: Sequence[Need]) -> bytes:
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
        for n in needs
    ]
    return sbom.bom(subject, depends_on=depends)


def _no_loader(binary: Binary) -> Finding:
    """Without a loader there is the run path, where there is one: not on Windows, and not out of the site directory."""
    inside = binary.place is not None
    has_run_path = bool(LOOKUPS[binary.linkage.format].origins)
    if not inside:
        fact = "it is installed outside of the site directory, so no relative run path leads to the native libraries"
        fix = "put the program into a package and start it from a console script"
    else:
        fact = "it lies in no package with an __init__.py, so nothing can load the native libraries before it"
        fix = "put it into a package"
        fix += ": its run path serves one site directory only" if has_run_path else ": Windows knows no run paths"
    severity = Severity.WARNING if inside and has_run_path else Severity.ERROR
    return Finding(check="loader", severity=severity, file=binary.member, fact=fact, fix=fix)


def _purelib(job: _Job) -> Finding:
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
