"""Names of shared libraries that mean the same to the audit and to `farm repair`."""

from __future__ import annotations

import re

_LOADER = r"ld-linux.*|ld64\.so\.\d+"
_VERSIONED = re.compile(
    r"lib(c|m|dl|rt|pthread|util|resolv|nsl|anl|mvec|crypt|stdc\+\+|gcc_s|gomp|gfortran|quadmath)\.so\.\d+"
    rf"|{_LOADER}"
)
_LIBPYTHON = re.compile(r"libpython\d[\w.]*\.so[.\d]*")
# Names of shared libraries on Linux, Windows and macOS, with what repair tools and versions add to them.
_STEMS = (
    re.compile(r"lib(?P<stem>[A-Za-z0-9_+.]+?(?:-[A-Za-z0-9_+.]+?)*?)(?:-nf\d\d|(?:-[0-9a-f]{8,})+)?\.so(?:\.[\d.]+)?"),
    re.compile(r"(?:lib)?(?P<stem>[a-z0-9_+.]+?(?:-[a-z0-9_+.]+?)*?)(?:-\d{1,3})?(?:-nf\d\d|(?:-[0-9a-f]{8,})+)?\.dll"),
    re.compile(r"lib(?P<stem>[A-Za-z0-9_+]+?(?:-[A-Za-z0-9_+]+?)*?)(?:-nf\d\d)?(?:\.\d+)*\.dylib"),
)


def is_versioned(soname: str) -> bool:
    """True for libraries of the system in which every symbol has a version: an import without one is not theirs."""
    return _VERSIONED.fullmatch(soname) is not None


def is_loader(soname: str) -> bool:
    """True for glibc's dynamic loader (``ld64.so.2`` on POWER), needed by name where data is thread-local."""
    return re.fullmatch(_LOADER, soname) is not None


def is_libpython(soname: str) -> bool:
    """True for the interpreter as a library, the stable ABI's ``libpython3.so`` too: every interpreter brings its own
    symbols, so extension modules must not ask for it."""
    return _LIBPYTHON.fullmatch(soname) is not None


def stem(name: str) -> str:
    """The library's own name, by which copies are recognised: ``gmp`` for libgmp.so.10, libgmp-10-1b2c3d4e.dll,
    libgmp.10.dylib and libgmp-nf10.so; empty for what is no shared library's name."""
    found = next((match for pattern in _STEMS if (match := pattern.fullmatch(name))), None)
    return found["stem"] if found else ""
