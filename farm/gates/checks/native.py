"""A native wheel's manifest, names and variants."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from farm.binary.lookup import LOOKUPS
from farm.gates.checks._base import Check
from farm.gates.contents import WheelContents, hwcaps_level
from farm.gates.policy import AuditPolicy
from farm.model import pypa
from farm.model.binary import BinaryFormat, Linkage
from farm.model.finding import Finding
from farm.model.native import NativeLibrary, NativeManifest
from farm.model.shown import some


def _manifest(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:  # noqa: ARG001
    member = f"{wheel.dist_info}/native.json"
    manifest = wheel.manifest
    if manifest is None:
        yield from (fault for fault in wheel.faults if fault.check == MANIFEST.name)
        if wheel.is_native and member not in wheel.files:
            yield MANIFEST.finding(member, "is missing, so nothing can be built against this wheel")
        return
    for fact in (*_identity(wheel, manifest), *_versions(manifest), *_requirements(wheel, manifest)):
        yield MANIFEST.finding(member, fact)
    yield from _anchor(wheel, manifest)


def _identity(wheel: WheelContents, manifest: NativeManifest) -> Iterator[str]:
    if canonicalize_name(manifest.distribution) != wheel.name.project:
        yield f"is of {manifest.distribution}, the wheel is {wheel.name.project}"
    if manifest.version != wheel.name.version:
        yield f"says version {manifest.version}, the wheel has {wheel.name.version}"
    if manifest.platform not in wheel.name.platform.split("."):
        yield f"is for {manifest.platform}, the wheel for {wheel.name.platform}"
    if (wheel.name.python, wheel.name.abi) != ("py3", "none"):
        yield f"belongs to a wheel with tag py3-none, this one has {wheel.name.python}-{wheel.name.abi}"
    if f"{manifest.import_name}/__init__.py" not in wheel.files:
        yield f"names the import package {manifest.import_name}, which is not in the wheel"


def _versions(manifest: NativeManifest) -> Iterator[str]:
    try:
        version, baseline = pypa.version(manifest.version), pypa.version(manifest.baseline)
        introduced = {name: pypa.version(name) for name in manifest.introduced}
    except InvalidVersion as error:
        yield f"has a version that is not PEP 440: {error}"
        return
    if version.epoch != manifest.abi_epoch:
        yield f"says ABI epoch {manifest.abi_epoch}, but its version {version} has epoch {version.epoch}"
    plain = pypa.version(version.public.rpartition("!")[2])
    if pypa.version(baseline.public.rpartition("!")[2]) > plain:
        yield f"has a baseline, {baseline}, newer than itself"
    for name, later in introduced.items():
        if pypa.version(later.public.rpartition("!")[2]) > plain:
            yield f"knows symbols introduced in {name}, which is newer than itself"


def _requirements(wheel: WheelContents, manifest: NativeManifest) -> Iterator[str]:
    listed = set()
    for text in wheel.metadata.all("Requires-Dist"):
        try:
            listed.add(canonicalize_name(pypa.requirement(text).name))
        except InvalidRequirement:
            continue
    for text in manifest.requires:
        try:
            name = canonicalize_name(pypa.requirement(text).name)
        except InvalidRequirement as error:
            yield f"requires {text!r}: {error}"
            continue
        if name not in listed:
            yield f"requires {text}, which METADATA does not"


def _anchor(wheel: WheelContents, manifest: NativeManifest) -> Iterator[Finding]:
    place = f"{manifest.import_name}/{manifest.anchor}"
    anchor = wheel.binaries.get(place)
    if anchor is not None and anchor.format is not BinaryFormat.ELF:
        return  # what is opened there are the libraries themselves
    if anchor is None:
        yield MANIFEST.finding(place, "is the anchor according to native.json, but is no binary in the wheel")
        return
    lost = [library.shared_name for library in manifest.library if library.shared_name not in anchor.needed]
    if lost:
        yield MANIFEST.finding(place, f"is the anchor but does not need {some(lost, 10)}, so it loads nothing")


def _names(wheel: WheelContents, policy: AuditPolicy) -> Iterator[Finding]:
    manifest = wheel.manifest
    if manifest is None:
        return
    for library in manifest.library:
        place = f"{manifest.import_name}/{library.path}"
        linkage = wheel.binaries.get(place)
        if linkage is None:
            yield NAMES.finding(place, f"should be {library.shared_name} according to native.json, but is no binary")
            continue
        yield from _one_name(place, linkage, library)
        yield from _variants(wheel, policy, place, linkage)


def _one_name(place: str, linkage: Linkage, library: NativeLibrary) -> Iterator[Finding]:
    name = posixpath.basename(place)
    prefix = LOOKUPS[linkage.format].name_prefix
    if not (linkage.soname == prefix + library.shared_name and library.shared_name == name):
        behind = f" (behind {prefix})" if prefix else ""
        yield NAMES.finding(
            place,
            f"has soname {linkage.soname or '(none)'}, file name {name} and shared name {library.shared_name}: "
            f"the three must be one{behind}",
        )


def _variants(wheel: WheelContents, policy: AuditPolicy, place: str, baseline: Linkage) -> Iterator[Finding]:
    name = posixpath.basename(place)
    for file, linkage in wheel.binaries.items():
        level = hwcaps_level(file)
        if not level or posixpath.basename(file) != name:
            continue
        if linkage.soname != baseline.soname:
            yield NAMES.finding(file, f"is a variant of {name} but has soname {linkage.soname or '(none)'}")
        if policy.strict and level not in policy.variants:
            yield NAMES.finding(file, f"is a variant for {level}, which the recipe does not have")
        missing, added = _difference(baseline, linkage)
        if missing or added:
            said = [f"lacks {some(missing, policy.shown)}"] if missing else []
            said += [f"adds {some(added, policy.shown)}"] if added else []
            yield NAMES.finding(file, f"does not offer what the baseline build offers: {' and '.join(said)}")


def _difference(baseline: Linkage, variant: Linkage) -> tuple[list[str], list[str]]:
    ours, theirs = ({(s.name, s.version): s.kind for s in linkage.exports} for linkage in (baseline, variant))
    return sorted(name for name, _ in ours.keys() - theirs), sorted(name for name, _ in theirs.keys() - ours)


MANIFEST = Check(
    name="native-manifest",
    meaning="A native wheel has a `native.json` that agrees with its file name, METADATA and content, and an anchor "
    "that needs its libraries.",
    remedy="stage the wheel with the farm instead of editing it",
    run=_manifest,
)
NAMES = Check(
    name="shared-name",
    meaning="In a native wheel, soname (DLL name, install name behind `@rpath/`), file name and shared name of a "
    "library are one string. Variants in `glibc-hwcaps/` have the same soname and the same exports, and only levels "
    "that the recipe names.",
    remedy="name the library when it is linked (-Wl,-soname, the output's name, -install_name) and link all variants "
    "with the same export list",
    run=_names,
)
