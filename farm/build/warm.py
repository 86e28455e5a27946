"""Compiler caches that hold the target's run time already, and how a toolchain is run outside of builds.

The compiler builds C's and C++'s run time at the first link for a platform, which for Windows takes a minute. The farm
makes it do that once, and gives each build a copy of the cache.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from farm.build import sandbox
from farm.build.sandbox import Mount, Sandbox
from farm.process import Cancel

_TOOLCHAIN, _CACHE, _WORK = "/farm/toolchain", "/farm/cache", "/farm/work"

_WARM_C = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
_WARM_CXX = """\
#include <stdexcept>
#include <string>
int main(int c, char **) { if (c > 9) throw std::runtime_error(""); return std::string(c, 'x').size() > 8; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A small link that makes the compiler build a part of its run time."""

    driver: str
    suffix: str
    text: str
    flags: tuple[str, ...] = ()


def _links(driver: str, suffix: str, text: str, *kinds: tuple[str, ...]) -> tuple[Link, ...]:
    return tuple(Link(driver=driver, suffix=suffix, text=text, flags=flags) for flags in kinds)


# Binary format -> links whose run time differs: the compiler builds it anew for libraries, for programs and for what is
# stripped (the farm links ELF libraries both ways; the links of the other formats are all of one kind).
C_LINKS = {
    "elf": _links("cc", ".c", _WARM_C, (), ("-shared",), ("-shared", "-Wl,-s")),
    "pe": _links("cc", ".c", _WARM_C, (), ("-shared",)),
    "macho": _links("cc", ".c", _WARM_C, (), ("-shared",), ("-shared", "-Wl,-s")),
}
CXX_LINKS = {
    "elf": _links("c++", ".cc", _WARM_CXX, (), ("-shared",), ("-shared", "-Wl,-s")),
    "pe": _links("c++", ".cc", _WARM_CXX, (), ("-shared",)),
    "macho": _links("c++", ".cc", _WARM_CXX, (), ("-shared",), ("-shared", "-Wl,-s")),
}


def fill(root: Path, start: Path, cache: Path, links: Iterable[Link], cancel: Cancel | None = None) -> None:
    """Fill an empty cache with what another has, and with what the links build."""
    shutil.copytree(start, cache, copy_function=_copy, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".warm-", dir=root.parent) as folder:
        walls = as_builds_see(root, cache, Mount(source=Path(folder), inside=_WORK, writable=True))
        work = walls.place(_WORK)
        for link in links:
            source = f"w{link.suffix}"
            (Path(folder) / source).write_text(link.text, "utf-8")
            argv = [f"{walls.place(_TOOLCHAIN)}/bin/{link.driver}", *link.flags, "-o", "w.out", source]
            walls.run(argv, cwd=work, cancel=cancel, timeout=1800)


def as_builds_see(root: Path, cache: Path, *more: Mount) -> Sandbox:
    """Where the toolchain in `root`, with a compiler cache of its own, has the paths of builds: the compiler finds
    Windows' run time in its cache again only if it lies at the same place itself. The real paths where this machine
    has no sandbox."""
    compiler = (root / "zig").resolve().parent
    mounts = (
        Mount(source=root, inside=_TOOLCHAIN),
        Mount(source=compiler, inside=f"/farm/{compiler.name}"),
        Mount(source=cache, inside=_CACHE, writable=True),
        *more,
    )
    walls = Sandbox(mounts=mounts, enabled=not sandbox.works())
    return replace(walls, environment=environment(Path(walls.place(_CACHE))))


def environment(cache: Path) -> dict[str, str]:
    """What the compiler needs to be told to keep its cache there."""
    return {"PATH": "/usr/bin:/bin", "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}


def copy(warm: Path, target: Path) -> None:
    """Give a build its own compiler cache: what one build writes no other build reads.

    So a recipe cannot poison another's objects, and a rebuild that checks reproducibility really compiles.
    """
    shutil.copytree(warm, target, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    os.utime(target, ns=(os.stat(source).st_atime_ns, os.stat(source).st_mtime_ns))  # noqa: PTH116 - names, not paths
    shutil.copymode(source, target)
