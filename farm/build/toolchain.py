"""Make a toolchain real: fetch the pinned compiler and lay out wrappers, CMake and Meson files.

In the per-user cache, keyed by content, so every farm of the user shares it:
`toolchains/zig-<version>-<hash>/` the compiler; `toolchains/<platform>-<digest>/` with ``bin/`` (wrappers),
``wrapper.conf``, ``cmake.toolchain``, ``meson.cross`` and ``zig`` (a relative link to the compiler);
`toolchains/<platform>-<digest>.warm/` a compiler cache with C's run time built, copied into each build, and
`toolchains/<platform>-<digest>.warm-c++/` one with that of C++ too, made when the first build asks for it;
`toolchains/build-<digest>/` what all platforms share: the wrapper program and a cache for programs that builds run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from farm import process
from farm.build import crossfiles, sandbox
from farm.build.sandbox import Mount, Sandbox
from farm.errors import FarmError, MissingToolError, ProcessError, SourceError, UnreachableError
from farm.fetch import archives, download
from farm.model.toolchain import LibcStub, Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.files import file_lock

LAYOUT = 2
"""Raised when the files written here change, so that old ones in caches are not taken."""

_RENEWED = {"pe": ".1"}
"""The same for one binary format: raised when only what is made for it changes."""

_TOOLCHAIN, _CACHE, _WORK = "/farm/toolchain", "/farm/cache", "/farm/work"

NAMES = ("cc", "c++", "build-cc", "build-c++", "ar", "ranlib", "ld", "objcopy", "strip", "dlltool", "lib", "rc")
_BUILD_FLAGS = ("-O1", "-g0", "-fno-sanitize=all")
_WARM_SUFFIX, _WARM_CXX_SUFFIX = ".warm", ".warm-c++"
_WARM_C = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
_WARM_CXX = """\
#include <stdexcept>
#include <string>
int main(int c, char **) { if (c > 9) throw std::runtime_error(""); return std::string(c, 'x').size() > 8; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A small link that makes the compiler build a part of its run time."""

    driver: str
    suffix: str
    text: str
    flags: tuple[str, ...] = ()


def _links(driver: str, suffix: str, text: str, *kinds: tuple[str, ...]) -> tuple[_Link, ...]:
    return tuple(_Link(driver=driver, suffix=suffix, text=text, flags=flags) for flags in kinds)


# Binary format -> links whose run time differs: the compiler builds it anew for libraries, for programs and for what is
# stripped (the farm links ELF libraries both ways; the links of the other formats are all of one kind).
_C_LINKS = {
    "elf": _links("cc", ".c", _WARM_C, (), ("-shared",), ("-shared", "-Wl,-s")),
    "pe": _links("cc", ".c", _WARM_C, (), ("-shared",)),
    "macho": _links("cc", ".c", _WARM_C, (), ("-shared",), ("-shared", "-Wl,-s")),
}
_CXX_LINKS = {
    "elf": _links("c++", ".cc", _WARM_CXX, (), ("-shared",), ("-shared", "-Wl,-s")),
    "pe": _links("c++", ".cc", _WARM_CXX, (), ("-shared",)),
    "macho": _links("c++", ".cc", _WARM_CXX, (), ("-shared",), ("-shared", "-Wl,-s")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """A toolchain on this disk. `digest` is the sha256 of everything that went into it.

    `root` is what builds see as ``/farm/toolchain``; `compiler` is the compiler's directory, which must be visible as
    root's sibling of the same name; `warm` is a compiler cache to copy, with C++'s run time in it if it was asked for.
    """

    toolchain: Toolchain
    root: Path
    compiler: Path
    warm: Path
    digest: str

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def is_whole(self) -> bool:
        """Whether what builds call is there: somebody may have tidied the cache."""
        return self.warm.is_dir() and _has_programs(self.root)

    @property
    def binary(self) -> str:
        return self.toolchain.binary


def materialise(toolchain: Toolchain, settings: Settings, *, cxx: bool = False, cancel: Cancel | None = None) -> Tools:
    """The toolchain, ready to use; quick when it is in the cache. `cxx`: C++ will be compiled.

    Raises UnreachableError if the compiler cannot be fetched, SourceError if it is not what the toolchain file pins,
    MissingToolError if the toolchain has no compiler for this machine.
    """
    place = settings.cache / "toolchains"
    place.mkdir(parents=True, exist_ok=True)
    compiler = _compiler(toolchain, settings, place, cancel)
    digest = tools_digest(toolchain)
    root = place / f"{toolchain.platform}-{digest[:16]}"
    warm = root.with_name(root.name + (_WARM_CXX_SUFFIX if cxx else _WARM_SUFFIX))
    tools = Tools(toolchain=toolchain, root=root, compiler=compiler, warm=warm, digest=digest)
    if not tools.is_whole:
        with file_lock(root.with_name(root.name + ".lock")):
            if not tools.is_whole:
                _make(tools, place, cxx=cxx, cancel=cancel)
    return tools


def wants_cxx(system: Iterable[str], tools: Iterable[str]) -> bool:
    """Whether a build compiles C++: a product's system libraries (`c++`) or the recipe's tools say so.

    A build that does not say so may do it all the same; it then builds the run time for itself.
    """
    return bool({"c++", "stdc++"}.intersection(system)) or "c++" in tools


def present(toolchain: Toolchain, settings: Settings) -> bool:
    """Whether the compiler is in the cache already (for `farm doctor`)."""
    sha256 = toolchain.compiler.sha256.get(build_machine(), "")
    return bool(sha256) and _compiler_dir(toolchain, settings.cache / "toolchains", sha256).is_dir()


def tools_digest(toolchain: Toolchain) -> str:
    """The sha256 of what a toolchain directory is made from: not of how its binaries are run or audited."""
    made_from = toolchain.model_dump_json(exclude={"run", "system_libraries", "python_platform", "nm"})
    text = f"{LAYOUT}{_RENEWED.get(toolchain.binary, '')}\n{build_machine()}\n{made_from}\n{_wrapper_source()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _wrapper_source() -> str:
    return resources.files("farm.build").joinpath("wrapper.c").read_text("utf-8")


def _compiler_dir(toolchain: Toolchain, place: Path, sha256: str) -> Path:
    return place / f"{toolchain.compiler.kind}-{toolchain.compiler.version}-{sha256[:16]}"


def _compiler(toolchain: Toolchain, settings: Settings, place: Path, cancel: Cancel | None) -> Path:
    sha256 = toolchain.compiler.sha256.get(build_machine())
    if sha256 is None:
        raise MissingToolError(
            f"the toolchain {toolchain.platform} pins no compiler for a {build_machine()} build machine",
            fix=f"add its hash to [compiler.sha256] of toolchains/{toolchain.platform}.toml",
        )
    target = _compiler_dir(toolchain, place, sha256)
    if not _is_compiler(target):
        with file_lock(target.with_name(target.name + ".lock")):
            if not _is_compiler(target):
                shutil.rmtree(target, ignore_errors=True)
                _unpack_compiler(_compiler_wheel(toolchain, sha256, settings.downloads, cancel), target)
    return target


def _is_compiler(place: Path) -> bool:
    return os.access(place / "ziglang" / "zig", os.X_OK)


def _compiler_wheel(toolchain: Toolchain, sha256: str, downloads: Path, cancel: Cancel | None) -> Path:
    """The compiler's wheel through pip, which knows this machine's index; pip checks the hash."""
    found = download.cached(downloads, sha256)
    if found is not None:
        return found
    pinned = f"{toolchain.compiler.distribution}=={toolchain.compiler.version}"
    folder = downloads / sha256
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=downloads) as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(f"{pinned} --hash=sha256:{sha256}\n", "utf-8")
        argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--quiet"]
        argv += ["--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", f"{scratch}/wheel"]
        try:
            process.run(argv, timeout=1200, cancel=cancel)
        except ProcessError as error:
            raise _pip_error(pinned, sha256, error) from error
        wheel = next((Path(scratch) / "wheel").glob("*.whl"))
        target = folder / wheel.name
        wheel.replace(target)
    return target


def _pip_error(pinned: str, sha256: str, error: ProcessError) -> FarmError:
    last = "\n".join(error.output.strip().splitlines()[-12:])
    if "HASHES" in last.upper() and "MATCH" in last.upper():
        return SourceError(f"{pinned} has not the pinned hash {sha256}:\n{last}", fix="compare the index with the file")
    return UnreachableError(
        f"the compiler {pinned} cannot be fetched:\n{last}", fix="check `pip config list` and the network"
    )


def _unpack_compiler(wheel: Path, target: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".compiler-", dir=target.parent))
    try:
        archives.unpack(wheel, scratch / "x", strip=False)
        (scratch / "x").rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(tools: Tools, place: Path, *, cxx: bool, cancel: Cancel | None) -> None:
    """Lay the toolchain out and build the run time into a compiler cache; both appear whole or not at all.

    Caches get cleaned by people and by programs, so each part is looked at, and made again if it is not all there.
    """
    shared = _shared(tools, place, cancel)
    plain = tools.root.with_name(tools.root.name + _WARM_SUFFIX)
    if not _has_programs(tools.root):
        _publish(tools.root, place, lambda root: _lay_out(root, shared, tools, cancel))
    if not plain.is_dir():
        _publish(plain, place, lambda cache: _warm(tools.root, shared / "cache", cache, _C_LINKS[tools.binary], cancel))
    if cxx and not tools.warm.is_dir():
        _publish(tools.warm, place, lambda cache: _warm(tools.root, plain, cache, _CXX_LINKS[tools.binary], cancel))


def _publish(target: Path, place: Path, fill: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=place))
    try:
        fill(scratch)
        scratch.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _shared(tools: Tools, place: Path, cancel: Cancel | None) -> Path:
    """What does not depend on the platform: the wrapper, and the cache that its compilation left."""
    text = "\n".join((tools.compiler.name, *_build_flags(), _wrapper_source()))
    target = place / f"build-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def fill(folder: Path) -> None:
        cache = folder / "cache"
        cache.mkdir()
        with resources.as_file(resources.files("farm.build").joinpath("wrapper.c")) as source:
            zig = tools.compiler / "ziglang" / "zig"
            argv: list[str | Path] = [zig, "cc", *_build_flags(), "-O2", "-o", folder / "wrapper", source]
            process.run(argv, env=_cache_environment(cache), cancel=cancel, timeout=1800)

    if not (target / "wrapper").is_file():
        with file_lock(target.with_name(target.name + ".lock")):
            if not (target / "wrapper").is_file():
                _publish(target, place, fill)
    return target


def _lay_out(root: Path, shared: Path, tools: Tools, cancel: Cancel | None) -> None:
    toolchain = tools.toolchain
    (root / "bin").mkdir()
    (root / "zig").symlink_to(Path("..") / tools.compiler.name / "ziglang")
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
        argv: list[str | Path] = [
            root / "bin" / "cc",
            "-shared",
            "-nostdlib",
            "-s",
            f"-Wl,-soname,{stub.soname}",
            *stub.defines,
        ]
        argv += ["-o", root / "lib" / stub.soname, root / "zig" / stub.source]
        process.run(argv, env=_cache_environment(Path(cache)), cancel=cancel, timeout=600)


def _has_programs(root: Path) -> bool:
    return all((root / "bin" / name).exists() for name in NAMES)


def _build_flags() -> tuple[str, ...]:
    """Programs that run during a build: this machine's architecture and an old C library, never its headers."""
    return ("-target", f"{build_machine()}-linux-gnu.2.17", *_BUILD_FLAGS)


def _cache_environment(cache: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}


def _warm(root: Path, start: Path, cache: Path, links: Iterable[_Link], cancel: Cancel | None) -> None:
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
    return replace(walls, environment=_cache_environment(Path(walls.place(_CACHE))))


def user_compiler(tools: Tools, work: Path, *sources: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The compiler as somebody uses it who writes programs: the beginning of a command line, and its environment.

    It compiles in directories below `work`, where it keeps its cache, and sees `sources`.
    """
    cache, place = work / "zig-cache", work.resolve()
    copy_warm(tools, cache)
    seen = [Mount(source=folder.resolve(), inside=str(folder.resolve())) for folder in sources]
    walls = as_builds_see(tools.root, cache, *seen, Mount(source=place, inside=str(place), writable=True))
    argv, environment = walls.argv([walls.path(tools.bin / "cc")], cwd="")
    return tuple(argv), environment


def copy_warm(tools: Tools, target: Path) -> None:
    """Give a build its own compiler cache: what one build writes no other build reads.

    So a recipe cannot poison another's objects, and a rebuild that checks reproducibility really compiles.
    """
    shutil.copytree(tools.warm, target, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    os.utime(target, ns=(os.stat(source).st_atime_ns, os.stat(source).st_mtime_ns))  # noqa: PTH116 - names, not paths
    shutil.copymode(source, target)
