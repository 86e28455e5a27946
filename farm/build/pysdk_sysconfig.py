"""What builds ask `sysconfig` for, as it is on the host platform: one table for all platforms, one per system. Pure.

It is not the machine's: it names the toolchain's compilers and fixed paths, so two machines build alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from farm.model.toolchain import Toolchain

INSIDE = "/farm/sdk"
SYSCONFIG_NAME = "_sysconfigdata_farm"

# As CPython's own builds have them for extension modules: no assertions, and integers may overflow.
_BASE, _OPT = "-fno-strict-overflow", "-DNDEBUG -O3 -Wall"
CFLAGS = f"{_BASE} {_OPT}"

Value = str | int
_MULTIARCH_CPU = {"i686": "i386", "ppc64le": "powerpc64le", "armv7l": "arm"}
_LIBC = {"glibc": "gnu", "musl": "musl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """A Python as far as its names go: `version` is the full one; `abiflags` is ``t`` for a free-threaded one."""

    version: str
    abiflags: str = ""
    free_threaded: bool = False

    @property
    def short(self) -> str:
        """``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def digits(self) -> str:
        """``311``."""
        return self.short.replace(".", "")

    @property
    def include_name(self) -> str:
        """``python3.11``: the directory of its headers."""
        return f"python{self.short}{self.abiflags}"


def debian_cpu(arch: str) -> str:
    """The processor in Debian's triples: ``i386`` for i686."""
    return _MULTIARCH_CPU.get(arch, arch)


def multiarch(toolchain: Toolchain) -> str:
    """The triple in extension modules' names on Linux: ``x86_64-linux-gnu``."""
    return f"{debian_cpu(toolchain.arch)}-linux-{_LIBC.get(toolchain.libc, 'gnu')}"


def sysconfig_data(python: Flavour, toolchain: Toolchain) -> Mapping[str, Value]:
    """The variables of `sysconfig.get_config_vars`. Paths are those inside the sandbox."""
    return {**_common(python, toolchain), **_OF_OS[toolchain.os](python, toolchain)}


def text(data: Mapping[str, Value]) -> str:
    """The module that CPython's own cross builds read them from."""
    lines = "".join(f" {name!r}: {value!r},\n" for name, value in sorted(data.items()))
    return f"build_time_vars = {{\n{lines}}}\n"


def _common(python: Flavour, toolchain: Toolchain) -> dict[str, Value]:
    include = f"{INSIDE}/include/{python.include_name}"
    return {
        "ABIFLAGS": python.abiflags,
        "ANDROID_API_LEVEL": 0,  # unset, distutils takes every cross build for Android and links libpython
        "AR": "ar",
        "ARFLAGS": "rcs",
        "BASECFLAGS": _BASE,
        "CC": "cc",
        "CFLAGS": CFLAGS,
        "CONFIG_ARGS": "",
        "CONFINCLUDEPY": include,
        "CXX": "c++",
        "HOST_GNU_TYPE": toolchain.triple,
        "INCLUDEPY": include,
        "LDFLAGS": "",
        "LIBDIR": f"{INSIDE}/lib",
        "LIBPC": f"{INSIDE}/lib/pkgconfig",
        "LIBPL": f"{INSIDE}/lib",
        "LIBPYTHON": "",  # what extension modules link: nothing; Meson takes "unset" for yes
        "LIBS": "",
        "OPT": _OPT,
        "PYTHONFRAMEWORK": "",
        "PY_CFLAGS": CFLAGS,
        "PY_LDFLAGS": "",
        "Py_DEBUG": 0,
        "Py_ENABLE_SHARED": 0,
        "Py_GIL_DISABLED": int(python.free_threaded),
        "RANLIB": "ranlib",
        "SIZEOF_VOID_P": toolchain.bits // 8,
        "SYSLIBS": "",
        "VERSION": python.short,
        "WITH_PYMALLOC": 1,
        "installed_base": INSIDE,
        "installed_platbase": INSIDE,
    }


def _unix(python: Flavour, soabi: str, *, share: str, machdep: str) -> dict[str, Value]:
    library = f"libpython{python.short}{python.abiflags}.a"
    return {
        "BLDSHARED": f"cc {share}",
        "CCSHARED": "-fPIC",
        "EXT_SUFFIX": f".{soabi}.so",
        "LDCXXSHARED": f"c++ {share}",
        "LDLIBRARY": library,
        "LDSHARED": f"cc {share}",
        "LDVERSION": f"{python.short}{python.abiflags}",
        "LIBRARY": library,
        "MACHDEP": machdep,
        "SHLIB_SUFFIX": ".so",
        "SOABI": soabi,
    }


def _linux(python: Flavour, toolchain: Toolchain) -> dict[str, Value]:
    triple = multiarch(toolchain)
    soabi = f"cpython-{python.digits}{python.abiflags}-{triple}"
    return {**_unix(python, soabi, share=SHARE["linux"], machdep="linux"), "MULTIARCH": triple}


def _macos(python: Flavour, toolchain: Toolchain) -> dict[str, Value]:
    soabi = f"cpython-{python.digits}{python.abiflags}-darwin"
    floor = ".".join(str(number) for number in toolchain.floor)
    return {
        **_unix(python, soabi, share=SHARE["macos"], machdep="darwin"),
        "MACOSX_DEPLOYMENT_TARGET": floor,
        "MULTIARCH": "darwin",
    }


def _windows(python: Flavour, toolchain: Toolchain) -> dict[str, Value]:
    """As on a Unix, because it is a Unix that builds; `farm.build.systems.pep517` links the import library."""
    soabi = f"cp{python.digits}{python.abiflags}-{toolchain.platform}"
    digits = f"{python.digits}{python.abiflags}"
    return {
        **_unix(python, soabi, share=SHARE["windows"], machdep="win32"),
        "CCSHARED": "",
        "EXT_SUFFIX": f".{soabi}.pyd",
        "LDLIBRARY": f"python{digits}.lib",
        "LDVERSION": digits,
        "LIBRARY": f"python{digits}.lib",
        "SHLIB_SUFFIX": ".dll",
        "VERSION": digits,
    }


SHARE = {
    "linux": "-shared",
    # What Python's own symbols are is seen when the module is loaded: no library holds them.
    "macos": "-dynamiclib -undefined dynamic_lookup",
    "windows": "-shared",
}
"""How an extension module is linked, by operating system."""

_OF_OS: Mapping[str, Callable[[Flavour, Toolchain], dict[str, Value]]] = {
    "linux": _linux,
    "macos": _macos,
    "windows": _windows,
}
