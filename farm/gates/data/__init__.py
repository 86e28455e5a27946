"""Facts about platforms that no wheel and no toolchain says, as files beside this one."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))


@cache
def windows(key: str) -> frozenset[str]:
    """Globs of DLL names, lower case: ``system``, ``interpreter``, ``old_runtimes`` or ``debug_runtimes``."""
    return frozenset(_table("windows")[key])


def musl_version() -> str:
    """The musl release that `musl_symbols` is of."""
    return str(_table("musl")["version"])


@cache
def musl_symbols(arch: str) -> frozenset[str]:
    """What that musl exports on an architecture of wheel tags; on one that is not listed, what all have in common."""
    table = _table("musl")
    return frozenset(table["common"].split()) | frozenset(table["only"].get(arch, "").split())


def power_patterns() -> dict[str, str]:
    """Instructions after POWER8: the processor that brought them -> ``mask/value`` patterns."""
    return {name: str(patterns) for name, patterns in _table("power").items()}


@cache
def wrong_runtime(arch: str) -> dict[str, str]:
    """Functions of the compiler's own run time that compute wrong results on an architecture of wheel tags -> what
    calls them: ``quotient`` or ``product``."""
    found = _table("runtime").get(arch, {})
    return {name: what for what, names in found.items() for name in names}
