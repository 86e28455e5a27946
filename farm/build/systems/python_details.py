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
    see them, `soabi` is in the names of its extension modules."""

    version: str
    sdk: str
    headers: str
    soabi: str


def windows(python: HostPython, toolchain: Toolchain) -> str:
    """The file for a CPython of Windows whose import libraries are in the SDK's ``lib/``."""
    major, minor = python.version.split(".")[:2]
    short, stable = f"{major}.{minor}", f"{python.sdk}/lib/python{major}.lib"
    details = {
        "schema_version": "1.0",
        "base_prefix": python.sdk,
        "platform": toolchain.python_platform,
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
