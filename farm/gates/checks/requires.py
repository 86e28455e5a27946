"""Who needs a shared library says so to the installer."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from farm.binary.lookup import LOOKUPS
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents
from farm.gates.policy import AuditPolicy
from farm.model import pypa
from farm.model.finding import Finding
from farm.model.shown import some
from farm.wheel.native_libraries import KnownLibrary


def _run(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    metadata = f"{wheel.dist_info}/METADATA"
    requirements, broken = _requirements(wheel)
    for text in broken:
        yield CHECK.finding(metadata, f"has a requirement that is not PEP 508: {text}")
    own = {LOOKUPS[linkage.format].key(file.rpartition("/")[2]) for file, linkage in wheel.binaries.items()}
    users: dict[str, list[str]] = {}
    for file, linkage in wheel.binaries.items():
        for soname in map(LOOKUPS[linkage.format].key, linkage.needed):
            if soname in policy.libraries and soname not in own:
                users.setdefault(soname, []).append(file)
    for soname, files in users.items():
        library = policy.libraries[soname]
        fact = _objection(library, requirements.get(canonicalize_name(library.distribution), []))
        if fact:
            yield CHECK.finding(metadata, f"{fact}, but {some(files, 3)} needs its {soname}")


def _requirements(wheel: WheelContents) -> tuple[dict[str, list[Requirement]], list[str]]:
    found: dict[str, list[Requirement]] = {}
    broken = []
    for text in wheel.metadata.all("Requires-Dist"):
        try:
            requirement = pypa.requirement(text)
        except InvalidRequirement:
            broken.append(text)
            continue
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found, broken


def _objection(library: KnownLibrary, requirements: list[Requirement]) -> str:
    firm = [r for r in requirements if r.marker is None]
    if not firm:
        name = library.distribution
        return f"requires {name} only under a condition" if requirements else f"does not require {name}"
    specifier = firm[0].specifier
    if not specifier.contains(library.version, prereleases=True):
        return f"requires {firm[0]}, which excludes the {library.version} it was built for"
    if not any(part.operator in ("<", "<=", "==", "~=") for part in specifier):
        return f"requires {firm[0]} without an upper bound, so a release with another ABI would be accepted"
    return ""


CHECK = Check(
    name="requires-dist",
    meaning="For each shared library of the farm that a binary needs, METADATA requires its native distribution, "
    "unconditionally, with an upper bound at the next ABI epoch.",
    remedy="let `farm repair` compute Requires-Dist from the imported symbols",
    run=_run,
)
