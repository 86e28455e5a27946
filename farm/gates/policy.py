"""What an audit holds a wheel to: a platform's promises and what the farm knows about its own libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from farm.errors import UsageError
from farm.gates import data
from farm.model.binary import BinaryFormat
from farm.model.finding import Severity
from farm.model.recipe import Recipe
from farm.model.toolchain import Toolchain
from farm.wheel import native_libraries
from farm.wheel.names import musl_libc
from farm.wheel.native_libraries import KnownLibrary
from farm.wheel.platforms import machine, platform_tag

# Absolute paths that exist only where something was built. Matched at path starts, with something behind them.
BUILD_PATHS = (
    *("/farm/", "/tmp/", "/home/", "/root/", "/build/", "/builds/", "/work/", "/workspace/", "/project/"),  # noqa: S108
    *("/Users/", "/private/"),
)

_LOADERS = {
    "x86_64": "ld-linux-x86-64.so.2",
    "i686": "ld-linux.so.2",
    "aarch64": "ld-linux-aarch64.so.1",
    "ppc64le": "ld64.so.2",
    "s390x": "ld64.so.1",
    "armv7l": "ld-linux-armhf.so.3",
    "riscv64": "ld-linux-riscv64-lp64d.so.1",
    "loongarch64": "ld-linux-loongarch-lp64d.so.1",
}
# PEP 600 gives no list; these are in every glibc system (auditwheel's policies hold the rest to account).
_GLIBC = ("c", "m", "dl", "rt", "pthread", "util", "resolv", "nsl", "anl")
# PEP 513's desktop libraries and those that every distribution has had since.
_DESKTOP = frozenset(
    f"lib{name}"
    for name in (
        *("glib-2.0.so.0", "gobject-2.0.so.0", "gthread-2.0.so.0", "X11.so.6", "Xext.so.6", "Xrender.so.1"),
        *("ICE.so.6", "SM.so.6", "GL.so.1", "expat.so.1", "z.so.1", "atomic.so.1", "mvec.so.1", "nsl.so.1"),
    )
)
_GLIBC_VERSIONS = {"c": 6, "m": 6, "dl": 2, "rt": 1, "pthread": 0, "util": 1, "resolv": 2, "nsl": 1, "anl": 1}
_ISA = {"x86_64": "x86-64", "i686": "i686", "aarch64": "armv8.0-a", "ppc64le": "power8", "riscv64": "rv64gc"}
_WINDOWS_10 = (10, 0)
# The binary format of each C library's systems.
FORMATS = {
    "glibc": BinaryFormat.ELF,
    "musl": BinaryFormat.ELF,
    "ucrt": BinaryFormat.PE,
    "libsystem": BinaryFormat.MACHO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPolicy:
    """What a wheel is held to.

    `platform` is the tag it claims, `floor` the lowest version of libc or system behind that tag, `isa` the
    instruction-set baseline. `system_libraries` are names, or globs of names, that every such system has.
    `libraries` are the farm's shared libraries by file name. `allow_archives` are globs of members that may be static
    archives, `dispatched` globs of functions that may exceed the baseline; `debug_symbols` maps a member (or its file
    name) to its unstripped twin, for function names.
    `strict`: the wheel is the farm's own, so house rules are errors and not only warnings. `shown`: how many examples
    a finding names.
    """

    platform: str
    arch: str
    libc: str
    floor: tuple[int, int]
    isa: str
    system_libraries: frozenset[str]
    libraries: Mapping[str, KnownLibrary] = field(default_factory=dict)
    allow_libraries: tuple[str, ...] = ()
    allow_archives: tuple[str, ...] = ()
    dispatched: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    build_path_prefixes: tuple[str, ...] = BUILD_PATHS
    debug_symbols: Mapping[str, Path] = field(default_factory=dict)
    strict: bool = True
    shown: int = 10

    @property
    def house(self) -> Severity:
        """The severity of breaking a rule of this house, which does not stop a wheel from working."""
        return Severity.ERROR if self.strict else Severity.WARNING

    def promises(self, needed: str, binary: BinaryFormat = BinaryFormat.ELF) -> bool:
        """True if every system behind the platform tag has a library of this name, or the recipe vouches for it."""
        allowed = (*self.system_libraries, *self.allow_libraries)
        if binary is BinaryFormat.PE:
            needed, allowed = needed.lower(), tuple(name.lower() for name in allowed)
        return needed in allowed or any(fnmatchcase(needed, glob) for glob in allowed if "*" in glob)

    def allows_archive(self, member: str) -> bool:
        """True if the recipe wants this static archive in the wheel."""
        return any(fnmatchcase(member, glob) for glob in self.allow_archives)

    def isa_of(self, arch: str) -> str:
        """The baseline of one architecture; a tag for several (``universal2``) promises the lowest of each."""
        return self.isa if machine(arch) == machine(self.arch) else _ISA.get(machine(arch), arch)


def policy_for(
    toolchain: Toolchain,
    recipe: Recipe | None = None,
    *,
    natives: Iterable[Path] = (),
    debug_symbols: Mapping[str, Path] | None = None,
    build_paths: Iterable[str] = (),
) -> AuditPolicy:
    """The policy of a platform (and recipe).

    `natives` are native wheels, or directories with some, whose libraries a wheel may need. `build_paths` adds to the
    forbidden prefixes. Raises as `with_libraries` does.
    """
    policy = AuditPolicy(
        platform=toolchain.platform,
        arch=toolchain.arch,
        libc=toolchain.libc,
        floor=toolchain.floor,
        isa=toolchain.isa if recipe else _isa_of_others(toolchain),
        system_libraries=frozenset(toolchain.system_libraries) | _loader_of(toolchain) | _beyond(toolchain, recipe),
        allow_libraries=recipe.audit.allow_libraries if recipe else (),
        allow_archives=recipe.audit.allow_archives if recipe else (),
        # A static function has the name that the sources give it, a public one what the recipe makes of that.
        dispatched=tuple(dict.fromkeys((*recipe.audit.dispatched, *recipe.public(recipe.audit.dispatched))))
        if recipe
        else (),
        variants=tuple(variant.level for variant in recipe.variant) if recipe else (),
        build_path_prefixes=(*BUILD_PATHS, *build_paths),
        debug_symbols=dict(debug_symbols or {}),
        strict=recipe is not None,
    )
    return with_libraries(policy, natives=natives)


def with_libraries(policy: AuditPolicy, *, natives: Iterable[Path] = ()) -> AuditPolicy:
    """The same policy that knows the libraries of these native wheels, or directories of them, too.

    Raises UsageError for a place that does not exist, BinaryFormatError for a native wheel that is damaged or lies.
    """
    known = {library.shared_name: library for library in native_libraries.load(natives)}
    return replace(policy, libraries={**policy.libraries, **known})


def _beyond(toolchain: Toolchain, recipe: Recipe | None) -> frozenset[str]:
    """What the platform's tag promises beyond the toolchain's list: that list is for what the farm itself builds."""
    family = _TAG_FAMILIES.get(platform_tag(toolchain.platform).family)
    return family.system(machine(toolchain.arch)) if family and recipe is None else frozenset()


def _isa_of_others(toolchain: Toolchain) -> str:
    """What every machine behind the tag can, which may be more than the farm uses itself."""
    family = _TAG_FAMILIES.get(platform_tag(toolchain.platform).family)
    return family.isa.get(machine(toolchain.arch), toolchain.isa) if family else toolchain.isa


def _loader_of(toolchain: Toolchain) -> frozenset[str]:
    return frozenset({Path(toolchain.loader).name} if toolchain.loader else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What the tags of one family promise where no toolchain file says it."""

    libc: str
    system: Callable[[str], frozenset[str]]
    floor: tuple[int, int] = (0, 0)
    isa: Mapping[str, str] = field(default_factory=dict)


def policy_for_tag(platform: str) -> AuditPolicy:
    """A policy derived from a platform tag alone, for wheels that no recipe of this farm made.

    Raises UsageError for a tag that is no tag of binary wheels.
    """
    tag = platform_tag(platform)
    family = _TAG_FAMILIES.get(tag.family)
    if family is None:
        raise UsageError(
            f"no audit policy for the platform {platform!r}",
            where="--platform",
            fix="name a manylinux_X_Y_ARCH, musllinux_X_Y_ARCH, macosx_X_Y_ARCH or win tag, or a platform with a file "
            "in toolchains/",
        )
    return AuditPolicy(
        platform=platform,
        arch=tag.machine,
        libc=family.libc,
        floor=tag.floor or family.floor,
        isa={**_ISA, **family.isa}.get(tag.machine, tag.machine),
        system_libraries=family.system(tag.machine),
        strict=False,
    )


def lowest_platform(platforms: Iterable[str]) -> str:
    """Of several tags of one wheel the one that promises most: the lowest libc or system."""
    return min(platforms, key=lambda tag: platform_tag(tag).floor or (999, 0))


def _glibc_libraries(arch: str) -> frozenset[str]:
    names = {f"lib{name}.so.{_GLIBC_VERSIONS[name]}" for name in _GLIBC}
    return _DESKTOP | frozenset(
        names | {"libstdc++.so.6", "libgcc_s.so.1"} | ({_LOADERS[arch]} if arch in _LOADERS else set())
    )


def _musl_libraries(arch: str) -> frozenset[str]:
    return frozenset({musl_libc(arch), "libz.so.1"})  # auditwheel's policies for musllinux promise zlib too


_TAG_FAMILIES: Mapping[str, _Family] = {
    "glibc": _Family(libc="glibc", system=_glibc_libraries),
    "musl": _Family(libc="musl", system=_musl_libraries),
    "windows": _Family(libc="ucrt", system=lambda _: data.windows("system"), floor=_WINDOWS_10, isa={"i686": "sse2"}),
    "macos": _Family(
        libc="libsystem",
        system=lambda _: frozenset({"/usr/lib/*", "/System/Library/*"}),
        isa={"x86_64": "penryn", "aarch64": "apple-m1"},
    ),
}
