"""Small catalogs for tests: recipes and toolchains as TOML text in a temporary directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHA = "0123456789abcdef" * 4
PLATFORM = "manylinux_2_17_x86_64"

_ZIG = {"kind": "zig", "version": "0.17.0", "distribution": "ziglang", "sha256": {"x86_64": SHA}}
_ARCH = {"x86_64": "x86-64", "aarch64": "armv8.0-a", "i686": "i686"}


def toml(data: Mapping[str, Any], prefix: str = "") -> str:
    """Just enough of a TOML writer."""
    plain, tables = [], []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            tables.append(f"[{name}]\n{toml(value, f'{name}.')}")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            tables += [f"[[{name}]]\n{toml(item, f'{name}.')}" for item in value]
        else:
            plain.append(f"{json.dumps(key)} = {json.dumps(value)}\n")
    return "".join(plain) + "".join(tables)


def release(version: str, **more: Any) -> dict[str, Any]:
    return {
        "version": version,
        "source": [{"location": [{"url": f"debian:x-{version}.tar.xz", "sha256": SHA}]}],
        **more,
    }


def library(name: str, *versions: str, host: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """The data of a library recipe; `more` overrides or adds top-level keys."""
    return {
        "format": 1,
        "name": name,
        "kind": "library",
        "summary": f"the {name} library",
        "license": "MIT",
        "license_files": ["COPYING"],
        "release": [release(version) for version in versions or ("1.0",)],
        "requires": {"host": list(host)},
        "build": {"system": "autotools", "args": ["--disable-shared"]},
        "products": {"library": [{"name": name, "archive": f"lib/lib{name}.a", "exports": [f"{name}_*"]}]},
        "abi": {"epoch": 1},
        **more,
    }


def dependent(name: str, *versions: str, host: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    data = library(name, *versions, host=host, kind="dependent", build={"system": "pep517"})
    del data["abi"], data["products"]
    return {**data, **more}


def toolchain(platform: str = PLATFORM, **more: Any) -> dict[str, Any]:
    libc = {"manylinux": "glibc", "musllinux": "musl"}[platform.split("_")[0]]
    _, major, minor, arch = platform.split("_", 3)
    return {
        "format": 1,
        "platform": platform,
        "os": "linux",
        "arch": arch,
        "libc": libc,
        "floor": [int(major), int(minor)],
        "binary": "elf",
        "triple": f"{arch}-linux-gnu",
        "isa": _ARCH[arch],
        "system_libraries": ["libc.so.6"],
        "loader": "ld-linux.so.2",
        "run": {"kind": "native"},
        "python_platform": f"linux-{arch}",
        "compiler": {**_ZIG, "target": f"{arch}-linux-gnu.{major}.{minor}"},
        "cmake": {"system_name": "Linux", "system_processor": arch},
        "meson": {"system": "linux", "cpu_family": arch, "cpu": arch},
        **more,
    }


def write_recipe(root: Path, data: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Path:
    """Write one recipe and the files beside it; returns its directory."""
    place: Path = root / "recipes" / data["name"]
    place.mkdir(parents=True, exist_ok=True)
    (place / "recipe.toml").write_text(toml(data))
    for name, text in (files or {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def write_toolchain(root: Path, data: Mapping[str, Any]) -> Path:
    place = root / "toolchains"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{data['platform']}.toml"
    path.write_text(toml(data))
    return path


def catalog(root: Path, *recipes: Mapping[str, Any], platforms: Sequence[str] = (PLATFORM,)) -> Path:
    """A catalog of these recipes; returns its root."""
    (root / "recipes").mkdir(parents=True, exist_ok=True)
    for platform in platforms:
        write_toolchain(root, toolchain(platform))
    for data in recipes:
        write_recipe(root, data)
    return root
