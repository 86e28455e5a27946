"""A wheel with all decisions about its binaries, and what follows from them. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farm.binary.lookup import LOOKUPS
from farm.errors import UsageError
from farm.model.native import NativeManifest
from farm.repair import bounds, contents, graft, platforms
from farm.repair.bounds import Need
from farm.repair.contents import Contents
from farm.repair.graft import Binary, Graft
from farm.repair.natives import Natives
from farm.wheel.archive import WheelArchive
from farm.wheel.platforms import machines, platform_tag

Uses = Mapping[str, Mapping[str, frozenset[str]]]
"""Member -> shared name -> the symbols it takes from that library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An open wheel, the natives that it may use, the decisions, and the libc family and architecture of its tag.

    `linked`: the wheel was compiled against the releases of these very natives.
    """

    archive: WheelArchive
    contents: Contents
    natives: Natives
    graft: Graft
    family: str
    arch: str
    linked: bool

    @property
    def staying(self) -> tuple[Binary, ...]:
        """The binaries that are not dropped."""
        return tuple(b for b in self.contents.binaries if b.member not in self.graft.dropped)


def decide(archive: WheelArchive, natives: Natives, platform: str | None, *, linked: bool = False) -> Job:
    """Look at a wheel and decide. `platform` is the tag that it shall get, None where its own decides; `linked` as in
    `Job`.

    Raises UsageError if the wheel is for other machines than `platform`, BinaryFormatError if it is damaged.
    """
    look = contents.look(archive)
    family, arch = platforms.family_of(look.binaries, archive.name.platform.partition(".")[0])
    asked = platform_tag(platform or "any")
    wanted, family = asked.arch, asked.family or family  # a module that needs no libc tells nothing of its own
    if platform and archive.name.platform != "any" and not machines(wanted) <= machines(arch):
        raise UsageError(
            f"is a wheel for {archive.name.platform}, it cannot be tagged {platform}",
            where=archive.path.name,
            fix=f"give a --platform of {arch}",
        )
    usable = natives.for_platform(family, arch)
    decisions = graft.decide(look.binaries, usable)
    copies = {b.member: b.names for b in look.binaries if b.member in decisions.dropped}
    if spoken_of := contents.mentions(archive, frozenset().union(*copies.values())):
        decisions = graft.decide(look.binaries, usable, mentioned=spoken_of)
    return Job(archive=archive, contents=look, natives=usable, graft=decisions, family=family, arch=arch, linked=linked)


def all_uses(job: Job) -> Uses:
    """What each member takes, also through vendored libraries of the same wheel."""
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


def needs(job: Job, uses: Uses) -> tuple[Need, ...]:
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
    lowest = dict(bounds.asked_for(job.contents.headers.all("Requires-Dist")))
    for name, manifest in manifests.items() if job.linked else ():
        lowest[name] = (*lowest.get(name, ()), bounds.own_release(manifest))
    found = (bounds.need(manifests[d], used, lowest.get(d, ())) for d, used in by_distribution.items())
    return bounds.in_load_order(found, everything)
