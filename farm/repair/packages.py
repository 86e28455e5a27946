"""The loaders of a wheel: which packages need one, and the files that it takes."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from farm.binary.lookup import LOOKUPS
from farm.errors import BinaryFormatError
from farm.model.finding import Finding, Severity
from farm.repair import loader
from farm.repair.bounds import Need
from farm.repair.graft import Binary
from farm.repair.job import Job, Uses, needs


def loaders(job: Job, uses: Uses) -> tuple[dict[str, bytes], frozenset[str], list[Finding]]:
    """The loader of each package that needs one: changed members, byte code that would hide them, warnings."""
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
        put.update(_loader(job, package, needs(job, members)))
        stale.update(
            m for p, m in job.contents.places.items() if p.startswith(f"{package}/__pycache__/__init__.")
        )  # compiled from the old __init__.py; an unchecked one would hide the new
    return put, frozenset(stale), findings


def _loader(job: Job, package: str, wanted: Sequence[Need]) -> dict[str, bytes]:
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
        f"{folder}/{module}.py": loader.module_source(name.project, str(name.parsed_version), wanted),
        init: loader.inject(job.archive.read(init), module, where),
    }


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
