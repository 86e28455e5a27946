"""``build-details.json`` of a Python that cannot be asked (PEP 739, schema 1.0). Pure.

Meson asks the build's interpreter for what extension modules are built with. For Windows' stable ABI that answer is a
path below the interpreter's own directories, where a Unix has no import library; told these details, it asks nobody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from farm.model.toolchain import Toolchain


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPython:
    """The Python of the host platform. `version` is the full one (``3.11.2``), `sdk` and `headers` are paths as builds
    see them, `soabi` is in the names of its extension modules. `build_arch` is the build platform's architecture."""

    version: str
    build_arch: str
    sdk: str
    headers: str
    soabi: str


_WIN64 = {"x86_64": "win-amd64", "aarch64": "win-arm64"}


def _platform(python: HostPython, toolchain: Toolchain) -> str:
    """The platform as Meson 1.12 expects it, which uses it for nothing else: it compares it with the processor of the
    *build* platform where it means the host's, and finds out by itself only that a compiler is for 32 bits."""
    own = toolchain.python_platform
    return _WIN64.get(python.build_arch, own) if own in _WIN64.values() else own


def windows(python: HostPython, toolchain: Toolchain) -> str:
    """The file for a CPython of Windows whose import libraries are in the SDK's ``lib/``."""
    major, minor = python.version.split(".")[:2]
    short, stable = f"{major}.{minor}", f"{python.sdk}/lib/python{major}.lib"
    details = {
        "schema_version": "1.0",
        "base_prefix": python.sdk,
        "platform": _platform(python, toolchain),
        "language": {"version": short},
        "implementation": {"name": "cpython", "cache_tag": f"cpython-{major}{minor}"},
        "abi": {"flags": [], "extension_suffix": f".{python.soabi}.pyd", "stable_abi_suffix": ".pyd"},
        "libpython": {
            "dynamic": f"{python.sdk}/lib/python{major}{minor}.lib",
            "dynamic_stableabi": stable,
            "dynamic-stableabi": stable,  # as Meson 1.12 reads it, with a dash that the PEP does not have
            "link_extensions": False,  # the compiler wrapper does
        },
        "c_api": {"headers": python.headers},
    }
    return json.dumps(details, indent=1) + "\n"
