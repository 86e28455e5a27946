"""Debian packages of a few bytes, good and hostile, and sysroots made of them. Not a test module."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

from farm.model.recipe_source import Location
from farm.model.sysroot import Package, Sysroot
from farm.settings import Settings


def file(name: str, data: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), mode, 1_600_000_000
    return info, data


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A directory, link or device: `kind` is a type of `tarfile`."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info, b""


def deb(path: Path, *members: tuple[tarfile.TarInfo, bytes], compression: str = "xz") -> Path:
    """A package with these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{compression}": data.getvalue()}
    out = b"!<arch>\n"
    for name, content in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)
    return path


def settings(root: Path) -> Settings:
    return Settings(catalog=root, home=root / "home", cache=root / "cache", cores=1)


def sysroot(root: Path, *packages: Path, **changes: object) -> Sysroot:
    """A sysroot of packages that lie below ``toolchains/sysroots``."""
    place = root / "toolchains" / "sysroots"
    pinned = [
        Package(
            name=path.stem,
            location=(
                Location(url=f"file:{path.relative_to(place)}", sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
            ),
        )
        for path in packages
    ]
    values: dict[str, object] = {
        "format": 1,
        "name": "tiny",
        "summary": "a tiny system",
        "suite": "none",
        "architecture": "amd64",
        "machine": "x86_64",
        "package": pinned,
        **changes,
    }
    return Sysroot.model_validate(values)
