"""Toolchains as they are written: `toolchains/<platform>.toml`. A platform is a file, not code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from farm.model.base import Frozen
from farm.model.recipe_text import RelPath, Sha256

PlatformTag = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]


_NARROW = frozenset({"i686", "armv7l"})


class Compiler(Frozen):
    """The pinned cross compiler: a wheel on the configured package index, taken by hash."""

    kind: Literal["zig"] = Field(description="what compiler it is")
    version: str = Field(description="its version, exactly")
    distribution: str = Field(description="name on the package index")
    sha256: dict[str, Sha256] = Field(description="hash of the compiler's wheel by the build machine's architecture")
    target: str = Field(description="target triple with libc floor, as the compiler spells it")


class Flags(Frozen):
    """Flags of every compilation and link."""

    c: tuple[str, ...] = Field(default=(), description="before all that a build says, when C or assembly is compiled")
    cxx: tuple[str, ...] = Field(default=(), description="the same for C++; those of C unless given")
    link: tuple[str, ...] = Field(default=(), description="added to every link")
    drop: tuple[str, ...] = Field(
        default=(), description="globs of arguments that the compiler refuses; the wrapper drops them"
    )
    rewrite: dict[str, str] = Field(
        default_factory=dict, description="regular expression -> replacement, applied to each argument by the wrapper"
    )


class LibcStub(Frozen):
    """A stand-in for the system's libc that has its real name, made from a list of symbols that the compiler brings.

    Every link takes it: the compiler's own stand-in for musl is called ``libc.so``, a name that no wheel may need.
    """

    soname: str = Field(description="name of the libc on users' systems: `libc.musl-x86_64.so.1`")
    source: RelPath = Field(description="assembly file in the compiler's directory that defines libc's symbols")
    defines: tuple[str, ...] = Field(default=(), description="preprocessor macros that choose the architecture in it")


class Cmake(Frozen):
    """The platform in CMake's words."""

    system_name: str = Field(description="CMAKE_SYSTEM_NAME: `Linux`, `Windows`, `Darwin`")
    system_processor: str = Field(description="CMAKE_SYSTEM_PROCESSOR")


class Meson(Frozen):
    """The platform in Meson's words (`host_machine`)."""

    system: str = Field(description="`linux`, `windows`, `darwin`")
    cpu_family: str = Field(description="`x86_64`, `aarch64`, `ppc64`, ...")
    cpu: str = Field(description="the processor more exactly, as projects may ask")
    endian: Literal["little", "big"] = Field(default="little", description="order of bytes")


class Run(Frozen):
    """How the platform's binaries run on a build machine. No part of any build key: it changes no byte of a wheel."""

    kind: Literal["native", "native-ld", "qemu", "musl", "wine", "inspect"] = Field(
        description="native: as they are; native-ld: by the sysroot's loader; qemu: emulated; musl: by musl's loader; "
        "wine: Windows programs; inspect: they do not run"
    )
    program: str = Field(default="", description="program of the build machine that runs them: `qemu-aarch64-static`")
    cpu: str = Field(default="", description="processor model of the emulator: `neoverse-n1`")
    sysroot: str = Field(default="", description="name of a file in `toolchains/sysroots/`, without `.toml`")
    reason: str = Field(default="", description="why the platform's binaries are only inspected")


class Toolchain(Frozen):
    """All that makes a binary for one platform."""

    format: Literal[1] = Field(description="version of this file format")
    platform: PlatformTag = Field(description="wheel platform tag, the platform's name everywhere")
    os: Literal["linux", "windows", "macos"] = Field(description="the operating system")
    arch: str = Field(description="as the wheel tag spells it: x86_64, i686, aarch64, ppc64le, riscv64, arm64")
    libc: Literal["glibc", "musl", "ucrt", "libsystem"] = Field(description="the C library of users' systems")
    floor: tuple[int, int] = Field(description="lowest libc / OS version the result runs on")
    binary: Literal["elf", "pe", "macho"] = Field(description="format of binaries")
    triple: str = Field(description="GNU host triple for configure")
    compiler: Compiler
    flags: Flags = Flags()
    libc_stub: LibcStub | None = None
    cmake: Cmake
    meson: Meson
    symbol_prefix: str = Field(default="", description="what object files put in front of a name of C: `_` or nothing")
    nm: str = Field(default="nm", description="the build machine's program that reads the platform's object files")
    isa: str = Field(description="instruction-set baseline: x86-64, sse2, armv8.0-a, power8, rv64gc, apple-m1")
    system_libraries: tuple[str, ...] = Field(description="shared libraries a wheel may take from the system")
    loader: str = Field(default="", description="ELF program interpreter, for audits and runners")
    run: Run
    python_platform: str = Field(description="_PYTHON_HOST_PLATFORM of cross builds: linux-x86_64")

    @property
    def bits(self) -> int:
        """The size of a pointer."""
        return 32 if self.arch in _NARROW else 64
