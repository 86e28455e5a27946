"""Build systems of libraries: one module each, one table. Dependents are built by `pep517`, which is not in it: it
makes wheels, not prefixes."""

from __future__ import annotations

from farm.build.systems import autotools, cmake, make, meson, script
from farm.build.systems.base import BuildSystem, Command, Job

__all__ = ["SYSTEMS", "BuildSystem", "Command", "Job"]

SYSTEMS: dict[str, BuildSystem] = {
    "autotools": autotools,
    "cmake": cmake,
    "make": make,
    "meson": meson,
    "script": script,
}
