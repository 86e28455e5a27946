"""Make a toolchain real: fetch the pinned compiler and lay out wrappers, CMake and Meson files.

In the per-user cache, keyed by content, so every farm of the user shares it:
`toolchains/zig-<version>-<hash>/` the compiler; `toolchains/<platform>-<digest>/` with ``bin/`` (wrappers),
``wrapper.conf``, ``cmake.toolchain``, ``meson.cross`` and ``zig`` (a relative link to the compiler);
`toolchains/<platform>-<digest>.warm/` a compiler cache with the C run time built, copied into each build.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from farm import process
from farm.build import crossfiles
from farm.errors import FarmError, MissingToolError, ProcessError, SourceError, UnreachableError
from farm.fetch import archives, download
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.files import file_lock

LAYOUT = 1
"""Raised when the files written here change, so that old ones in caches are not taken."""

NAMES = ("cc", "c++", "build-cc", "build-c++", "ar", "ranlib", "ld", "objcopy", "strip", "dlltool", "lib", "rc")
_BUILD_FLAGS = ("-O1", "-g0", "-fno-sanitize=all")
_WARM_C = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'
_WARM_CXX = """\
#include <stdexcept>
#include <string>
int main(int c, char **) { if (c > 9) throw std::runtime_error(""); return std::string(c, 'x').size() > 8; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """A toolchain on this disk. `digest` is the sha256 of everything that went into it.

    `root` is what builds see as ``/farm/toolchain``; `compiler` is the compiler's directory, which must be visible as
    root's sibling of the same name; `warm` is a compiler cache to copy.
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
        return self.warm.is_dir() and all((self.bin / name).exists() for name in NAMES)


def materialise(toolchain: Toolchain, settings: Settings, *, cancel: Cancel | None = None) -> Tools:
    """The toolchain, ready to use; quick when it is in the cache.

    Raises UnreachableError if the compiler cannot be fetched, SourceError if it is not what the toolchain file pins,
    MissingToolError if the toolchain has no compiler for this machine.
    """
    place = settings.cache / "toolchains"
    place.mkdir(parents=True, exist_ok=True)
    compiler = _compiler(toolchain, settings, place, cancel)
    digest = tools_digest(toolchain)
    root = place / f"{toolchain.platform}-{digest[:16]}"
    warm = root.with_name(root.name + ".warm")
    tools = Tools(toolchain=toolchain, root=root, compiler=compiler, warm=warm, digest=digest)
    if not tools.is_whole:
        with file_lock(root.with_name(root.name + ".lock")):
            if not tools.is_whole:
                for damaged in (root, warm):  # caches get cleaned by people and by programs
                    shutil.rmtree(damaged, ignore_errors=True)
                _make(tools, place, cancel)
    return tools


def present(toolchain: Toolchain, settings: Settings) -> bool:
    """Whether the compiler is in the cache already (for `farm doctor`)."""
    sha256 = toolchain.compiler.sha256.get(build_machine(), "")
    return bool(sha256) and _compiler_dir(toolchain, settings.cache / "toolchains", sha256).is_dir()


def tools_digest(toolchain: Toolchain) -> str:
    """The sha256 of what a toolchain directory is made from: not of how its binaries are run or audited."""
    made_from = toolchain.model_dump_json(exclude={"run", "system_libraries", "python_platform"})
    text = f"{LAYOUT}\n{build_machine()}\n{made_from}\n{_wrapper_source()}"
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


def _make(tools: Tools, place: Path, cancel: Cancel | None) -> None:
    """Lay the toolchain out and build the C and C++ run time into a compiler cache; both appear whole or not at all."""
    root = Path(tempfile.mkdtemp(prefix=".toolchain-", dir=place))
    cache = Path(tempfile.mkdtemp(prefix=".warm-", dir=place))
    try:
        _lay_out(root, cache, tools, cancel)
        _warm(root, cache, cancel)
        shutil.rmtree(tools.warm, ignore_errors=True)  # a farm was killed between the two renames
        cache.rename(tools.warm)
        root.rename(tools.root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)


def _lay_out(root: Path, cache: Path, tools: Tools, cancel: Cancel | None) -> None:
    toolchain = tools.toolchain
    (root / "bin").mkdir()
    (root / "zig").symlink_to(Path("..") / tools.compiler.name / "ziglang")
    (root / "wrapper.conf").write_text(crossfiles.wrapper_conf(toolchain, _build_flags()), "utf-8")
    (root / "cmake.toolchain").write_text(crossfiles.cmake_toolchain(toolchain), "utf-8")
    (root / "meson.cross").write_text(crossfiles.meson_cross(toolchain), "utf-8")
    with resources.as_file(resources.files("farm.build").joinpath("wrapper.c")) as source:
        argv = [
            str(root / "zig" / "zig"),
            "cc",
            *_build_flags(),
            "-O2",
            "-s",
            "-o",
            str(root / "bin" / "wrapper"),
            str(source),
        ]
        process.run(argv, env=_cache_environment(cache), cancel=cancel, timeout=1800)
    for name in NAMES:
        (root / "bin" / name).symlink_to("wrapper")
    root.chmod(0o755)


def _build_flags() -> tuple[str, ...]:
    """Programs that run during a build: this machine's architecture and an old C library, never its headers."""
    return ("-target", f"{build_machine()}-linux-gnu.2.17", *_BUILD_FLAGS)


def _cache_environment(cache: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}


def _warm(root: Path, cache: Path, cancel: Cancel | None) -> None:
    env = _cache_environment(cache)
    with tempfile.TemporaryDirectory(prefix=".warm-", dir=root.parent) as folder:
        scratch = Path(folder)
        for name, text, driver in (("w.c", _WARM_C, "cc"), ("w.cc", _WARM_CXX, "c++")):
            (scratch / name).write_text(text, "utf-8")
            for extra in ([], ["-shared"]):
                argv = [str(root / "bin" / driver), *extra, "-o", str(scratch / "w.out"), str(scratch / name)]
                process.run(argv, env=env, cwd=scratch, cancel=cancel, timeout=1800)


def copy_warm(tools: Tools, target: Path) -> None:
    """Give a build its own compiler cache: what one build writes no other build reads.

    So a recipe cannot poison another's objects, and a rebuild that checks reproducibility really compiles.
    """
    shutil.copytree(tools.warm, target, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    os.utime(target, ns=(os.stat(source).st_atime_ns, os.stat(source).st_mtime_ns))  # noqa: PTH116 - names, not paths
    shutil.copymode(source, target)
