"""Requirements of dependents, computed from the symbols they import (what Debian's symbols files do, for wheels)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from farm.model import names, pypa
from farm.model.native import NativeManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A dependent needs a native wheel: from native version `lower` on, below `upper`."""

    distribution: str
    import_name: str
    lower: str
    upper: str

    @property
    def specifier(self) -> str:
        """Both bounds, as PEP 440 writes them."""
        return f">={self.lower},<{self.upper}"

    @property
    def requirement(self) -> str:
        """The line for ``Requires-Dist``."""
        return f"{self.distribution}{self.specifier}"


_LOWER = frozenset({">=", "==", "~="})


def need(manifest: NativeManifest, symbols: Iterable[str], at_least: Iterable[str] = ()) -> Need:
    """What a dependent that imports `symbols` needs of a native wheel.

    The lower bound is the newest release that introduced one of them; symbols that no later release introduced are as
    old as the baseline. It is not below any of `at_least`, versions of native wheels, that is of the same ABI epoch:
    what a project chose for a release when it was compiled is in no symbol. The upper bound is the next ABI epoch.
    """
    used = frozenset(symbols)
    lower = manifest.baseline
    for release, introduced in manifest.introduced.items():
        if Version(release) > Version(lower) and used.intersection(introduced):
            lower = release
    floor = str(Version(lower)) if Version(lower).epoch else names.native_version(lower, 0, manifest.abi_epoch)
    others = (version for version in at_least if Version(version).epoch == manifest.abi_epoch)
    return Need(
        distribution=manifest.distribution,
        import_name=manifest.import_name,
        lower=max((floor, *others), key=Version),
        upper=names.upper_bound(manifest.abi_epoch),
    )


def own_release(manifest: NativeManifest) -> str:
    """The native version of a wheel's release, without the farm's revision, whose changes are none of upstream's."""
    version = Version(manifest.version)
    return str(version).removesuffix(f".post{version.post}")


def asked_for(requirements: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The versions that a project's requirements name as the oldest that will do, by distribution. What holds under
    some conditions only, or cannot be read, says nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for line in requirements:
        with contextlib.suppress(InvalidRequirement):
            requirement = pypa.requirement(line)
            if requirement.marker is None:
                name = canonicalize_name(requirement.name)
                lowest = (s.version for s in requirement.specifier if s.operator in _LOWER and "*" not in s.version)
                found[name] = (*found.get(name, ()), *lowest)
    return found


def in_load_order(needs: Iterable[Need], manifests: Mapping[str, NativeManifest]) -> tuple[Need, ...]:
    """Needs so that each native comes after those it requires itself; otherwise by name. Survives circles."""
    waiting = {need.distribution: need for need in sorted(needs, key=lambda n: n.distribution)}
    ordered: list[Need] = []

    def visit(distribution: str, path: tuple[str, ...]) -> None:
        if distribution not in manifests or distribution in path:
            return
        for line in sorted(manifests[distribution].requires):
            visit(canonicalize_name(Requirement(line).name), (*path, distribution))
        if distribution in waiting:
            ordered.append(waiting.pop(distribution))

    for distribution in tuple(waiting):
        visit(distribution, ())
    return tuple(ordered)
