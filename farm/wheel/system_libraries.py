"""Names of shared libraries that mean the same to the audit and to `farm repair`."""

from __future__ import annotations

import re

_VERSIONED = re.compile(
    r"lib(c|m|dl|rt|pthread|util|resolv|nsl|anl|mvec|crypt|stdc\+\+|gcc_s|gomp|gfortran|quadmath)\.so\.\d+"
    r"|ld-linux.*|ld64\.so\.\d+"
)
_LIBPYTHON = re.compile(r"libpython\d[\w.]*\.so[.\d]*")


def is_versioned(soname: str) -> bool:
    """True for libraries of the system in which every symbol has a version: an import without one is not theirs."""
    return _VERSIONED.fullmatch(soname) is not None


def is_libpython(soname: str) -> bool:
    """True for the interpreter as a library, the stable ABI's ``libpython3.so`` too: every interpreter brings its own
    symbols, so extension modules must not ask for it."""
    return _LIBPYTHON.fullmatch(soname) is not None
