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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from farm.build import compiler, toolchain_files, warm
from farm.build.sandbox import Mount
from farm.model.toolchain import Toolchain
from farm.process import Cancel
from farm.settings import Settings, build_machine
from farm.store.files import publish_dir
from farm.store.keeping import keep

LAYOUT = 2
"""Raised when the files written here change, so that old ones in caches are not taken."""

_RENEWED = {"pe": ".1", "macho": ".1"}
"""The same for one binary format: raised when only what is made for it changes."""

_WARM_SUFFIX, _WARM_CXX_SUFFIX = ".warm", ".warm-c++"


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
        return self.warm.is_dir() and toolchain_files.has_programs(self.root)

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
    found = compiler.materialise(toolchain, settings, place, cancel)
    digest = tools_digest(toolchain)
    root = place / _root(toolchain)
    cache = root.with_name(root.name + (_WARM_CXX_SUFFIX if cxx else _WARM_SUFFIX))
    tools = Tools(toolchain=toolchain, root=root, compiler=found, warm=cache, digest=digest)
    keep(root, lambda: tools.is_whole, lambda: _make(tools, place, cxx=cxx, cancel=cancel), beside=(cache,))
    return tools


def directories(toolchain: Toolchain) -> frozenset[str]:
    """The names in the cache of all that is made for a toolchain, its compiler included."""
    root = _root(toolchain)
    parts = {root, root + _WARM_SUFFIX, root + _WARM_CXX_SUFFIX}
    found = compiler.directories(toolchain)
    return found | parts | {toolchain_files.shared_place(Path(), name).name for name in found}


def base_of(directory: str) -> str:
    """The directory under whose lock another one is made: a warm compiler cache's is its toolchain's."""
    return directory.removesuffix(_WARM_CXX_SUFFIX).removesuffix(_WARM_SUFFIX)


def wants_cxx(system: Iterable[str], tools: Iterable[str]) -> bool:
    """Whether a build compiles C++: a product's system libraries (`c++`) or the recipe's tools say so.

    A build that does not say so may do it all the same; it then builds the run time for itself.
    """
    return bool({"c++", "stdc++"}.intersection(system)) or "c++" in tools


def tools_digest(toolchain: Toolchain) -> str:
    """The sha256 of what a toolchain directory is made from: not of how its binaries are run or audited."""
    made_from = toolchain.model_dump_json(exclude={"run", "system_libraries", "python_platform", "nm"})
    layout = f"{LAYOUT}{_RENEWED.get(toolchain.binary, '')}"
    text = f"{layout}\n{build_machine()}\n{made_from}\n{toolchain_files.wrapper_source()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _root(toolchain: Toolchain) -> str:
    return f"{toolchain.platform}-{tools_digest(toolchain)[:16]}"


def _make(tools: Tools, place: Path, *, cxx: bool, cancel: Cancel | None) -> None:
    """Lay the toolchain out and build the run time into a compiler cache; both appear whole or not at all.

    Caches get cleaned by people and by programs, so each part is looked at, and made again if it is not all there.
    """
    root, chain = tools.root, tools.toolchain
    shared = toolchain_files.shared(tools.compiler, place, cancel)
    plain = root.with_name(root.name + _WARM_SUFFIX)
    if not toolchain_files.has_programs(root):
        publish_dir(root, lambda folder: toolchain_files.fill(folder, shared, tools.compiler, chain, cancel))
    if not plain.is_dir():
        publish_dir(plain, lambda cache: warm.fill(root, shared / "cache", cache, warm.C_LINKS[chain.binary], cancel))
    if cxx and not tools.warm.is_dir():
        publish_dir(tools.warm, lambda cache: warm.fill(root, plain, cache, warm.CXX_LINKS[chain.binary], cancel))


def user_compiler(tools: Tools, work: Path, *sources: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The compiler as somebody uses it who writes programs: the beginning of a command line, and its environment.

    It compiles in directories below `work`, where it keeps its cache, and sees `sources`.
    """
    cache, place = work / "zig-cache", work.resolve()
    warm.copy(tools.warm, cache)
    seen = [Mount(source=folder.resolve(), inside=str(folder.resolve())) for folder in sources]
    walls = warm.as_builds_see(tools.root, cache, *seen, Mount(source=place, inside=str(place), writable=True))
    argv, environment = walls.argv([walls.path(tools.bin / "cc")], cwd="")
    return tuple(argv), environment
