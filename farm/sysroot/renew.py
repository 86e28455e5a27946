"""New pins for a sysroot, from the distribution's signed indices (`farm.fetch.apt`)."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from farm.errors import SourceError
from farm.fetch import apt
from farm.model.recipe_source import Location
from farm.model.sysroot import Package, Sysroot
from farm.process import Cancel
from farm.settings import Settings

KEPT = 3
"""How many alternatives of a package stay in the file: mirrors keep few, caches may have older ones."""

_POOL = re.compile(r"pool/main/[a-z0-9]+/([a-z0-9][a-z0-9+.-]*)/([^/]+\.deb)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A sysroot with new pins. `changed` names the packages whose newest pin is another than before."""

    sysroot: Sysroot
    changed: tuple[str, ...]


def renew(
    sysroot: Sysroot, settings: Settings, *, accept_expired: bool = False, cancel: Cancel | None = None
) -> Renewed:
    """Put the suite's present packages in front of the old pins.

    `accept_expired` takes a signed index whose validity is over, as a mirror has that is no longer fed. Raises
    MissingToolError, UnreachableError, SourceError if the suite has no such package.
    """
    wanted = [(package.name, package.architecture or sysroot.architecture) for package in sysroot.package]
    found = _ask(sysroot.suite, wanted, settings, accept_expired, cancel)
    packages, changed = [], []
    for package, key in zip(sysroot.package, wanted, strict=True):
        newest = found[key]
        if newest != package.location[:1]:
            changed.append(package.name)
        old = tuple(at for at in package.location if at != newest[0])
        packages.append(package.model_copy(update={"location": (*newest, *old)[:KEPT]}))
    return Renewed(sysroot=sysroot.model_copy(update={"package": tuple(packages)}), changed=tuple(changed))


def _ask(
    suite: str, wanted: list[tuple[str, str]], settings: Settings, accept_expired: bool, cancel: Cancel | None
) -> dict[tuple[str, str], tuple[Location]]:
    """Name and architecture -> the newest location in the suite."""
    architectures = sorted({architecture for _, architecture in wanted})
    place = settings.cache / "apt"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=place) as scratch:
        own = apt.configure(Path(scratch), [suite], kind="deb", architectures=architectures)
        own.update(accept_expired=accept_expired, cancel=cancel)
        names = [f"{name}:{architecture}" for name, architecture in wanted]
        shown = own.cache("show", "--no-all-versions", *names, cancel=cancel)
    return _parse(shown, suite, wanted)


def _parse(shown: str, suite: str, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[Location]]:
    found: dict[tuple[str, str], tuple[Location]] = {}
    for stanza in shown.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        pool = _POOL.fullmatch(fields.get("Filename", ""))
        if pool is None:
            continue
        location = Location(url=f"debian:{pool[1]}/{pool[2]}", sha256=fields["SHA256"])
        found.setdefault((fields["Package"], fields["Architecture"]), (location,))
    answers = {key: found.get(key) or found.get((key[0], "all")) for key in wanted}
    missing = [name for (name, _), location in answers.items() if location is None]
    if missing:
        raise SourceError(f"{suite} has no package {', '.join(missing)}", fix="look for its present name")
    return {key: location for key, location in answers.items() if location is not None}


def render(sysroot: Sysroot, text: str) -> str:
    """The file's text with the sysroot's pins: what stands before the first package is kept, the packages follow."""
    head = re.split(r"^\[\[package\]\]", text, maxsplit=1, flags=re.MULTILINE)[0].rstrip("\n")
    return "\n".join([head, *(_package(package) for package in sysroot.package)]) + "\n"


def _package(package: Package) -> str:
    lines = ["", "[[package]]", f'name = "{package.name}"']
    if package.architecture:
        lines.append(f'architecture = "{package.architecture}"')
    if package.location:
        lines.append("location = [")
        lines += [f'  {{ url = "{at.url}", sha256 = "{at.sha256}" }},' for at in package.location]
        lines.append("]")
    return "\n".join(lines)
