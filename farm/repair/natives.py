"""The native libraries a repair may use: found by name, by the names of what they replace, and by platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from farm.errors import CatalogError
from farm.model.binary import Linkage
from farm.wheel import native_libraries
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.platforms import machines, platform_tag
from farm.wheel.system_libraries import stem

_HASHED = re.compile(r"(?P<base>[^.]+)-[0-9a-f]{8}(?P<rest>\..+)")  # auditwheel: libgmp-a6f47472.so.10.5.0


class Natives:
    """Known native libraries of one or more platforms; of two releases of one library the newer counts."""

    def __init__(self, libraries: Iterable[KnownLibrary]) -> None:
        self._libraries = tuple(libraries)
        self._by_name: dict[str, KnownLibrary] = {}
        self._by_replaced: dict[str, KnownLibrary] = {}
        self._exports: dict[str, Mapping[str, frozenset[str]]] = {}
        for known in sorted(self._libraries, key=lambda k: k.version):
            self._claim(self._by_name, known.shared_name, known)
            for soname in known.library.replaces:
                self._claim(self._by_replaced, soname, known)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[KnownLibrary]:
        return iter(self._by_name.values())

    @staticmethod
    def _claim(table: dict[str, KnownLibrary], name: str, known: KnownLibrary) -> None:
        other = table.get(name)
        if other is not None and other.distribution != known.distribution:
            both = f"{other.distribution} ({other.origin}) and {known.distribution} ({known.origin})"
            raise CatalogError([f"{name} is claimed by {both}"], fix="give only one of them with --native")
        table[name] = known

    def for_platform(self, family: str, arch: str) -> Natives:
        """Those that run with libc `family` (``glibc``, ``musl``, ``macos``, ``windows``) and `arch` of wheel tags."""
        tags = ((known, platform_tag(known.manifest.platform)) for known in self._libraries)
        wanted = machines(arch)
        return Natives(known for known, tag in tags if wanted <= machines(tag.arch) and tag.family in (family, ""))

    def named(self, needed: str) -> KnownLibrary | None:
        """The library whose shared name is needed. ``@rpath/`` before it does not matter, nor does a DLL's case."""
        file = needed.rpartition("/")[2]
        return self._by_name.get(file.lower() if file.lower().endswith(".dll") else file)

    def resembling(self, name: str) -> KnownLibrary | None:
        """The library that a file is a copy of, judged by its name: ``libgmp-10-1b2c3d4e.dll``."""
        wanted = stem(name.rpartition("/")[2])
        if not wanted or self.named(name) is not None:
            return None
        return next((k for k in self if wanted in {stem(n) for n in (k.shared_name, *k.library.replaces)}), None)

    def replacing(self, soname: str, *, vendored: bool) -> KnownLibrary | None:
        """The library that may stand for a system soname, or for a vendored copy that auditwheel renamed."""
        candidates = tuple(_unversioned(soname)) if vendored else (soname,)
        if found := next((self._by_replaced[name] for name in candidates if name in self._by_replaced), None):
            return found
        globs = self._by_replaced.items() if vendored else ()  # `libgmp-*.so.*` names copies, never a system's library
        return next((known for glob, known in globs if fnmatchcase(soname, glob)), None)

    def exports(self, known: KnownLibrary) -> Mapping[str, frozenset[str]]:
        """Exported symbol -> its versions (the empty string where it has none). Read when first asked for."""
        name = known.shared_name
        if name not in self._exports:
            self._exports[name] = exported(known.linkage)
        return self._exports[name]


def _unversioned(vendored: str) -> Iterator[str]:
    """The sonames a vendored copy may have had: ``libgmp-a6f47472.so.10.5.0`` -> ``libgmp.so.10.5.0``, ``.so.10``."""
    for name in (vendored, _HASHED.sub(r"\g<base>\g<rest>", vendored)):
        yield name
        head, dot, last = name.rpartition(".")
        while dot and last.isdigit():
            yield head
            head, dot, last = head.rpartition(".")


def exported(linkage: Linkage) -> dict[str, frozenset[str]]:
    """Exported symbol -> versions."""
    found: dict[str, set[str]] = {}
    for symbol in linkage.exports:
        found.setdefault(symbol.name, set()).add(symbol.version)
    return {name: frozenset(versions) for name, versions in found.items()}


def load(places: Iterable[Path]) -> Natives:
    """Natives from native wheels, directories of wheels, and site directories with installed native packages.

    Raises as `farm.wheel.native_libraries.load` does, and CatalogError if two of them claim one name.
    """
    return Natives(native_libraries.load(places))
