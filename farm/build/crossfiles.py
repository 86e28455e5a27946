"""The files that tell build systems about a platform. Pure: a toolchain in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from farm.errors import CatalogError
from farm.model.toolchain import Toolchain

# CMake refuses a second language for macOS without this program. Names are given when linking, so it has nothing to do:
# `strip` does nothing.
_CMAKE_EXTRA = {
    "macho": 'set(CMAKE_INSTALL_NAME_TOOL "${CMAKE_CURRENT_LIST_DIR}/bin/strip" CACHE FILEPATH "")\n',
}


def wrapper_conf(toolchain: Toolchain, build_flags: Sequence[str]) -> str:
    """What the compiler wrapper reads (format: wrapper.c). Raises CatalogError for text it cannot hold."""
    flags = toolchain.flags
    base = ("-target", toolchain.compiler.target)
    lines = [("zig", "zig/zig")]
    lines += [("cc", flag) for flag in (*base, *flags.c)]
    lines += [("c++", flag) for flag in (*base, *(flags.cxx or flags.c))]
    lines += [("link", flag) for flag in flags.link]
    lines += [("libc", f"lib/{toolchain.libc_stub.soname}")] if toolchain.libc_stub else []
    lines += [("drop", glob) for glob in flags.drop]
    lines += [("build", flag) for flag in build_flags]
    text = "".join(f"{key}\t{_one_line(value, toolchain)}\n" for key, value in lines)
    pairs = [(_one_line(ere, toolchain), _one_line(by, toolchain)) for ere, by in flags.rewrite.items()]
    return text + "".join(f"rewrite\t{ere}\t{by}\n" for ere, by in pairs)


def _one_line(value: str, toolchain: Toolchain) -> str:
    if "\t" in value or "\n" in value:
        raise CatalogError(
            [f"toolchains/{toolchain.platform}.toml: [flags] {value!r} holds a tab or a line break"],
            fix="write a blank instead, or two entries",
        )
    return value


def cmake_toolchain(toolchain: Toolchain) -> str:
    """A CMake toolchain file (cmake-toolchains(7)). Wrappers add the flags, so it holds only where things are.

    Libraries and headers come from CMAKE_PREFIX_PATH alone, never from the machine.
    """
    return f"""\
set(CMAKE_SYSTEM_NAME {toolchain.cmake.system_name})
set(CMAKE_SYSTEM_PROCESSOR {toolchain.cmake.system_processor})
set(CMAKE_C_COMPILER "${{CMAKE_CURRENT_LIST_DIR}}/bin/cc")
set(CMAKE_CXX_COMPILER "${{CMAKE_CURRENT_LIST_DIR}}/bin/c++")
set(CMAKE_ASM_COMPILER "${{CMAKE_CURRENT_LIST_DIR}}/bin/cc")
set(CMAKE_AR "${{CMAKE_CURRENT_LIST_DIR}}/bin/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "${{CMAKE_CURRENT_LIST_DIR}}/bin/ranlib" CACHE FILEPATH "")
set(CMAKE_RC_COMPILER "${{CMAKE_CURRENT_LIST_DIR}}/bin/rc" CACHE FILEPATH "")
set(CMAKE_STRIP "${{CMAKE_CURRENT_LIST_DIR}}/bin/strip" CACHE FILEPATH "")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH FALSE)
set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH FALSE)
set(CMAKE_FIND_USE_PACKAGE_REGISTRY FALSE)
set(CMAKE_FIND_USE_SYSTEM_PACKAGE_REGISTRY FALSE)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(BUILD_SHARED_LIBS OFF CACHE BOOL "")
{_CMAKE_EXTRA.get(toolchain.binary, "")}"""


def meson_cross(toolchain: Toolchain) -> str:
    """A Meson cross file (machine files, cross compilation). Programs are found on the build's fixed PATH."""
    meson = toolchain.meson
    return f"""\
[binaries]
c = 'cc'
cpp = 'c++'
ar = 'ar'
ranlib = 'ranlib'
strip = 'strip'
pkg-config = 'pkg-config'

[properties]
needs_exe_wrapper = true

[host_machine]
system = {_quoted(meson.system)}
cpu_family = {_quoted(meson.cpu_family)}
cpu = {_quoted(meson.cpu)}
endian = {_quoted(meson.endian)}
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def shell_words(words: Iterable[str]) -> str:
    """Flags as build systems take them in one variable. Raises CatalogError for a flag with a blank in it."""
    kept = list(words)
    bad = [word for word in kept if any(c.isspace() for c in word)]
    if bad:
        raise CatalogError([f"[build] cflags/ldflags: {word!r} holds a blank; give one flag per entry" for word in bad])
    return " ".join(kept)
