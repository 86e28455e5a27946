"""Native wheels as plain prefixes, for users without Python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from farm import process
from farm.binary import formats
from farm.errors import UsageError
from farm.index.reading import IndexReader
from farm.model import pypa
from farm.model.binary import BinaryFormat
from farm.model.native import NativeManifest
from farm.repair.patch import patchelf
from farm.wheel import native_libraries, native_manifest
from farm.wheel.archive import WheelArchive

_PARTS = ("include/", "lib/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A native wheel, or one that is installed: then `path` is its site directory."""

    path: Path
    manifest: NativeManifest

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """What C projects need of it: path relative to the package (``lib/libgmp.so``) and content.

        Raises BinaryFormatError for a damaged wheel.
        """
        package = f"{self.manifest.import_name}/"
        if self.path.is_dir():
            inside = ((f.relative_to(self.path / package).as_posix(), f) for f in (self.path / package).rglob("*"))
            files = sorted((part, file) for part, file in inside if part.startswith(_PARTS) and file.is_file())
            yield from ((part, file.read_bytes()) for part, file in files)
            return
        with WheelArchive.open(self.path) as wheel:
            for name in wheel.members:
                part = name.removeprefix(package)
                if name.startswith(package) and part.startswith(_PARTS):
                    yield part, wheel.read(name)


def offered(index: Path, channel: str) -> tuple[Offered, ...]:
    """The native wheels that a channel serves, yanked ones left out. Raises IndexFormatError, and BinaryFormatError
    for a damaged wheel."""
    reader = IndexReader(index)
    generation = reader.current(channel)
    if generation is None:
        return ()
    found = []
    for file in reader.files_in(generation):
        if file.project.startswith("native-") and file.yanked is None:
            path = index / file.location
            with WheelArchive.open(path) as wheel:
                manifest = native_manifest.read(wheel)
            if manifest is not None:
                found.append(Offered(path=path, manifest=manifest))
    return tuple(found)


def at_hand(places: Iterable[Path]) -> tuple[Offered, ...]:
    """The native wheels in places: wheels, directories of wheels, site directories. One that is met twice counts once.

    Raises UsageError for a place that does not exist, BinaryFormatError for a native wheel that is damaged or lies.
    """
    found: dict[Path, Offered] = {}
    for known in native_libraries.load(places):
        origin = Path(known.origin)
        path = origin if origin.suffix == ".whl" else origin.parent.parent
        found.setdefault(path / known.distribution, Offered(path=path, manifest=known.manifest))
    return tuple(found.values())


def choose(
    wheels: Iterable[Offered], name: str, *, platform: str = "", with_needed: bool = True
) -> tuple[Offered, ...]:
    """The newest wheel of a library and, if asked, of all it needs. Raises UsageError if one is not offered."""
    usable = [w for w in wheels if not platform or w.manifest.platform == platform]
    first = _newest(usable, _asked(name))
    here = {w.manifest.platform for w in usable if w.manifest.distribution == first.manifest.distribution}
    if len(here) > 1:
        raise UsageError(f"{name} is offered for {', '.join(sorted(here))}", fix="choose one with --platform")
    same = [w for w in usable if w.manifest.platform == first.manifest.platform]
    chosen = {first.manifest.distribution: first}
    queue = list(first.manifest.requires) if with_needed else []
    while queue:
        requirement = pypa.requirement(queue.pop())
        if requirement.name not in chosen:
            found = _newest(same, requirement)
            chosen[requirement.name] = found
            queue += found.manifest.requires
    return tuple(chosen.values())


def _asked(name: str) -> Requirement:
    """The native wheel that somebody asks for by the name of its library. Raises UsageError."""
    text = f"native-{name.removeprefix('native-')}"
    try:
        return pypa.requirement(text)
    except InvalidRequirement:
        raise UsageError(f"{name!r} is no name of a library", fix="write it like gmp, or gmp>=6.3") from None


def _newest(wheels: Sequence[Offered], requirement: Requirement) -> Offered:
    fitting = [
        w
        for w in wheels
        if w.manifest.distribution == requirement.name and requirement.specifier.contains(w.manifest.version)
    ]
    if not fitting:
        known = ", ".join(sorted({w.manifest.distribution for w in wheels})) or "nothing"
        raise UsageError(
            f"{requirement} is not offered; there is {known}",
            fix=f"build it (`farm build {requirement.name.removeprefix('native-')}`), or take it from another place: "
            "--native, --channel",
        )
    return max(fitting, key=lambda w: pypa.version(w.manifest.version))


def unpack(wheels: Iterable[Offered], prefix: Path) -> int:
    """Put headers, libraries, .pc and CMake files below `prefix`; returns how many files.

    Each file appears whole or not at all; one that is there already is replaced. Raises BinaryFormatError for a
    damaged wheel, MissingToolError without patchelf.
    """
    count = 0
    prefix.mkdir(parents=True, exist_ok=True)
    for offer in wheels:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=prefix) as scratch:
            for part in _extract(offer, Path(scratch)):
                _set_run_path(Path(scratch) / part, part)
                target = prefix / part
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / part).replace(target)
                count += 1
    return count


def _extract(offer: Offered, scratch: Path) -> list[str]:
    """The parts of a wheel that C projects need, below `scratch`; their paths relative to the prefix."""
    parts = []
    for part, content in offer.parts():
        target = scratch / part
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        parts.append(part)
    return parts


def _set_run_path(file: Path, part: str) -> None:
    """In a flat prefix libraries lie side by side (variants two directories deeper)."""
    linkage = formats.read_file(file)
    if linkage is None or linkage.format is not BinaryFormat.ELF or not linkage.needed:
        return
    up = os.path.relpath("lib", Path(part).parent)
    path = "$ORIGIN" if up == "." else f"$ORIGIN:$ORIGIN/{up}"
    process.run([patchelf(), "--set-rpath", path, str(file)], timeout=60)
