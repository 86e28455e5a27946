"""What must hold for the file of a Python beyond its schema: what it names is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farm.catalog.faults import Fault
from farm.model.python import Python
from farm.model.sysroot import Sysroot


def check(pythons: Mapping[str, Python], sysroots: Mapping[str, Sysroot]) -> list[Fault]:
    """The faults of all Pythons. A platform without an entry is none: the Python is not built for there."""
    faults = []
    for tag, python in pythons.items():
        file = f"toolchains/pythons/{tag}.toml"
        for field, version in (("version", python.version), ("source_version", python.source_version)):
            if version and f"cp{version.rpartition('.')[0].replace('.', '')}" != python.tag:
                faults.append(Fault(file=file, at=(field,), why=f"{version} is no {python.tag}"))
        for machine, name in python.build.items():
            if name not in sysroots:
                faults.append(Fault(file=file, at=("build", machine), why=f"there is no sysroot {name!r}"))
        for number, entry in enumerate(python.headers):
            at = ("headers", number)
            if entry.sysroot and entry.sysroot not in sysroots:
                faults.append(Fault(file=file, at=(*at, "sysroot"), why=f"there is no sysroot {entry.sysroot!r}"))
            if bool(entry.sysroot) != bool(entry.package):
                faults.append(Fault(file=file, at=(*at, "package"), why="sysroot and package go together"))
            if not entry.sysroot and not python.source:
                faults.append(Fault(file=file, at=at, why="has no sysroot, and the file names no source"))
        faults += [Fault(file=file, at=at, why=why) for at, why in _interpreters(python)]
    return faults


def _interpreters(python: Python) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What must hold for the interpreters that tests run with."""
    if not python.build:
        for kind, entries in (("assembled", python.assembled), ("compiled", python.compiled)):
            if entries:
                yield (kind,), "needs the interpreter that [build] names, and there is none"
    for number, compiled in enumerate(python.compiled):
        for index, part in enumerate(compiled.part):
            if not part.location and not python.source:
                yield ("compiled", number, "part", index), "names no location, and the file names no source"
