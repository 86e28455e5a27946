"""The environment and the mounts of a step's builds: what builds of libraries and of dependents share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from farm.build import tools as machine_tools
from farm.build import warm
from farm.build.sandbox import NO_HOME, SCRATCH, Mount, Sandbox
from farm.build.toolchain import Tools
from farm.build.workspace import Rooms, Workspace
from farm.model.mangling import symbols_header

SOURCE, WORK, PREFIX, DEPS = "/farm/src", "/farm/work", "/farm/prefix", "/farm/deps"
TOOLCHAIN, TOOLS, CACHE, OUT = "/farm/toolchain", "/farm/tools", "/farm/cache", "/farm/out"


def make_sandbox(
    space: Workspace,
    rooms: Rooms,
    tools: Tools,
    *,
    programs: Iterable[str],
    epoch_seconds: int,
    enabled: bool,
    extra: tuple[Mount, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Sandbox:
    """The sandbox of one build in a workspace: fixed paths, declared programs, the toolchain, a private compiler cache.

    Raises MissingToolError for programs that this machine lacks.
    """
    machine_tools.link(machine_tools.programs((*programs, tools.toolchain.nm)), _fresh(space.tools))
    if not space.compiler_cache.is_dir():
        warm.copy(tools.warm, space.compiler_cache)
    mounts = (
        Mount(source=rooms.source, inside=SOURCE, writable=True),
        Mount(source=rooms.work, inside=WORK, writable=True),
        Mount(source=rooms.prefix, inside=PREFIX, writable=True),
        Mount(source=space.out, inside=OUT, writable=True),
        Mount(source=space.compiler_cache, inside=CACHE, writable=True),
        Mount(source=space.deps, inside=DEPS),
        Mount(source=space.tools, inside=TOOLS),
        Mount(source=tools.root, inside=TOOLCHAIN),
        Mount(source=tools.compiler, inside=f"/farm/{tools.compiler.name}"),
        *extra,
    )
    walls = Sandbox(mounts=mounts, enabled=enabled)
    environment = {**_base(walls, tools, epoch_seconds), "FARM_CFLAGS": _prefix_maps(walls), **(env or {})}
    return Sandbox(mounts=mounts, enabled=enabled, environment=environment)


def _base(walls: Sandbox, tools: Tools, epoch_seconds: int) -> dict[str, str]:
    place = walls.place
    return {
        "PATH": f"{place(TOOLCHAIN)}/bin:{place(TOOLS)}",
        "HOME": NO_HOME,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch_seconds),
        "ZERO_AR_DATE": "1",
        "TMPDIR": SCRATCH if walls.enabled else place(WORK),
        "CONFIG_SHELL": f"{place(TOOLS)}/sh",
        "CONFIG_SITE": "",
        "ZIG_GLOBAL_CACHE_DIR": place(CACHE),
        "ZIG_LOCAL_CACHE_DIR": place(CACHE),
        "CC": "cc",
        "CXX": "c++",
        "AR": "ar",
        "RANLIB": "ranlib",
        "NM": tools.toolchain.nm,
        "STRIP": "strip",
        "CC_FOR_BUILD": "build-cc",
        "BUILD_CC": "build-cc",
        "HOSTCC": "build-cc",
        "PKG_CONFIG_LIBDIR": _pkg_config_path(walls),
        "CMAKE_PREFIX_PATH": ":".join(_packages(walls)),
        # find_program: the toolchain file forbids PATH, which CMake would search for libraries too.
        "CMAKE_PROGRAM_PATH": f"{place(TOOLCHAIN)}/bin:{place(TOOLS)}",
        "LD_LIBRARY_PATH": ":".join(f"{p}/lib" for p in _packages(walls)),  # for programs that configure runs
        "FARM_PLATFORM": tools.toolchain.platform,
    }


def packages(deps: Path) -> list[Path]:
    """The import packages of unpacked native wheels."""
    return sorted(p for p in deps.glob("native_*") if p.is_dir() and not p.name.endswith(".dist-info"))


def symbols_headers(deps: Path) -> list[Path]:
    """The headers of unpacked native wheels that compilers must include first."""
    headers = (package / "include" / symbols_header(package.name) for package in packages(deps))
    return [header for header in headers if header.is_file()]


def _packages(walls: Sandbox) -> list[str]:
    deps = next(m.source for m in walls.mounts if m.inside == DEPS)
    return [walls.path(p) for p in packages(deps)]


def _pkg_config_path(walls: Sandbox) -> str:
    return ":".join(f"{p}/lib/pkgconfig" for p in _packages(walls)) or NO_HOME


def _prefix_maps(walls: Sandbox) -> str:
    """Flags that write source paths relative, so that no place of this machine or sandbox gets into a wheel."""
    names = {SOURCE: ".", WORK: ".", PREFIX: "prefix", DEPS: "deps", CACHE: "cache", OUT: "out"}
    return "\n".join(f"-ffile-prefix-map={walls.place(inside)}={name}" for inside, name in names.items())


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder
