"""What a toolchain's directory holds: the wrappers that builds call, and files for CMake and Meson."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from farm import process
from farm.build import crossfiles, warm
from farm.model.toolchain import LibcStub, Toolchain
from farm.process import Cancel
from farm.settings import build_machine
from farm.store.files import publish_dir
from farm.store.keeping import keep

NAMES = ("cc", "c++", "build-cc", "build-c++", "ar", "ranlib", "ld", "objcopy", "strip", "dlltool", "lib", "rc")
"""The programs of a toolchain, all of them links to one."""

_BUILD_FLAGS = ("-O1", "-g0", "-fno-sanitize=all")


def has_programs(root: Path) -> bool:
    """Whether all programs are there: somebody may have tidied the cache."""
    return all((root / "bin" / name).exists() for name in NAMES)


_WRAPPER = ("wrapper.c", "wrapper_split.c", "wrapper.h")


def wrapper_source() -> str:
    """The text of the program behind all names."""
    return "".join(resources.files("farm.build").joinpath(name).read_text("utf-8") for name in _WRAPPER)


def shared(compiler: Path, place: Path, cancel: Cancel | None = None) -> Path:
    """What does not depend on the platform: the wrapper, and the cache that its compilation left."""
    target = shared_place(place, compiler.name)

    def fill(folder: Path) -> None:
        cache = folder / "cache"
        cache.mkdir()
        with resources.as_file(resources.files("farm.build")) as package:
            sources = [package / name for name in _WRAPPER if name.endswith(".c")]
            zig = compiler / "ziglang" / "zig"
            argv: list[str | Path] = [zig, "cc", *_build_flags(), "-O2", "-o", folder / "wrapper", *sources]
            process.run(argv, env=warm.environment(cache), cancel=cancel, timeout=1800)

    keep(target, (target / "wrapper").is_file, lambda: publish_dir(target, fill))
    return target


def shared_place(place: Path, compiler: str) -> Path:
    """Where that is, for a compiler's directory of this name."""
    text = "\n".join((compiler, *_build_flags(), wrapper_source()))
    return place / f"build-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def fill(root: Path, shared: Path, compiler: Path, toolchain: Toolchain, cancel: Cancel | None = None) -> None:
    """Lay a toolchain out in an empty directory; `shared` is what `shared` made."""
    (root / "bin").mkdir()
    (root / "zig").symlink_to(Path("..") / compiler.name / "ziglang")
    (root / "wrapper.conf").write_text(crossfiles.wrapper_conf(toolchain, _build_flags()), "utf-8")
    (root / "cmake.toolchain").write_text(crossfiles.cmake_toolchain(toolchain), "utf-8")
    (root / "meson.cross").write_text(crossfiles.meson_cross(toolchain), "utf-8")
    shutil.copy2(shared / "wrapper", root / "bin" / "wrapper")
    for name in NAMES:
        (root / "bin" / name).symlink_to("wrapper")
    if toolchain.libc_stub is not None:
        _make_libc_stub(root, toolchain.libc_stub, cancel)


def _make_libc_stub(root: Path, stub: LibcStub, cancel: Cancel | None) -> None:
    """A library without code that has the libc's name and symbols. `-nostdlib` keeps the wrapper from asking for it."""
    (root / "lib").mkdir()
    with tempfile.TemporaryDirectory(prefix=".stub-", dir=root.parent) as cache:
        words = ["-shared", "-nostdlib", "-s", f"-Wl,-soname,{stub.soname}", *stub.defines]
        output = root / "lib" / stub.soname
        argv: list[str | Path] = [root / "bin" / "cc", *words, "-o", output, root / "zig" / stub.source]
        process.run(argv, env=warm.environment(Path(cache)), cancel=cancel, timeout=600)


def _build_flags() -> tuple[str, ...]:
    """Programs that run during a build: this machine's architecture and an old C library, never its headers."""
    return ("-target", f"{build_machine()}-linux-gnu.2.17", *_BUILD_FLAGS)
