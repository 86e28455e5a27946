"""Small real objects, archives and libraries for every platform, made with the pinned zig. Not a test module.

Links are `-nostdlib`: that needs no C run time, which would take a minute to build for each platform.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from build_factory import settings, toolchain

from farm.build import compiler
from farm.process import run

WINDOWS = ("x86_64-windows-gnu", "x86-windows-gnu", "aarch64-windows-gnu")
MACOS = ("x86_64-macos.10.13", "aarch64-macos.11.0")
LINUX = ("x86_64-linux-gnu.2.17", "x86-linux-gnu.2.17", "aarch64-linux-gnu.2.17", "powerpc64le-linux-gnu.2.19")


@functools.cache
def _zig() -> tuple[Path, Path]:
    """The compiler, without the wrappers and warm caches of a toolchain, and a cache that is kept between runs."""
    with tempfile.TemporaryDirectory() as home:
        at = settings(Path(home))
        place = at.cache / "toolchains"
        place.mkdir(parents=True, exist_ok=True)
        return compiler.materialise(toolchain(), at, place) / "ziglang" / "zig", place / "tests-zig"


def zig(folder: Path, *argv: str) -> None:
    """Run zig in a directory."""
    program, cache = _zig()
    run([str(program), *argv], cwd=folder, env={"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)})


@functools.cache
def made(target: str, commands: tuple[tuple[str, ...], ...], files: tuple[tuple[str, str], ...]) -> dict[str, bytes]:
    """The files that commands leave. Compilations (`cc`) get the target; everything happens in one empty directory."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files:
            (Path(folder) / name).write_text(text)
        for command, *rest in commands:
            flags = ("-target", target, "-fno-sanitize=all", "-O1") if command == "cc" else ()
            zig(Path(folder), command, *flags, *rest)
        names = {name for name, _ in files}
        return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir()) if p.name not in names}
