"""PEP 517: the commands and the environment that make a raw wheel for another platform. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from farm.build.crossfiles import shell_words
from farm.build.pysdk_sysconfig import CFLAGS, SHARE
from farm.build.systems import python_details
from farm.build.systems.base import Command, Job
from farm.build.systems.python_details import HostPython
from farm.errors import CatalogError
from farm.model.toolchain import Toolchain

MESON_BACKENDS = ("mesonpy",)
MESON_CROSS = "python.cross"
PYTHON_DETAILS = "build-details.json"
CMAKE_TOOLCHAIN, CMAKE_PROVIDER = "python.cmake", "python-provider.cmake"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonJob:
    """A build of one project. Paths are as the commands see them: `python` the build's interpreter, `hook` the script
    that calls the backend, `include` the SDK's headers, `out` where the wheel goes. `backend` is the module that
    pyproject.toml names, `soabi` what is in extension modules' names, `library` the link name of Python's import
    library where a platform has one."""

    job: Job
    python: str
    hook: str
    backend: str
    include: str
    out: str
    soabi: str = ""
    library: str = ""
    version: str = ""


def commands(python_job: PythonJob) -> tuple[Command, ...]:
    """The one command that leaves the wheel in `out`."""
    settings = json.dumps(config_settings(python_job), sort_keys=True)
    argv = (python_job.python, "-u", python_job.hook, python_job.out, settings)
    return (Command(phase="build wheel", argv=argv, cwd=python_job.job.source),)


def config_settings(python_job: PythonJob) -> dict[str, str | list[str]]:
    """The recipe's ``key=value`` arguments as config settings; a key that is there twice becomes a list.

    meson-python also gets the toolchain's cross file and ours, so that Meson takes nothing from the build machine.
    Raises CatalogError for an argument without ``=``.
    """
    found: dict[str, list[str]] = {}
    if python_job.backend in MESON_BACKENDS:
        job = python_job.job
        found["setup-args"] = [
            f"--cross-file={job.toolchain_dir}/meson.cross",
            f"--cross-file={job.work}/{MESON_CROSS}",
            "-Dbuildtype=release",
            *([f"-Dpython.build_config={job.work}/{PYTHON_DETAILS}"] if _details_of(python_job) else ()),
        ]
        found["build-dir"] = [f"{job.work}/meson"]
        found["compile-args"] = [f"-j{job.jobs}"]
    for key, value in key_values(python_job.job.expand(python_job.job.build.args)):
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def key_values(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A recipe's arguments as keys and values of config settings. Raises CatalogError for one without ``=``."""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise CatalogError(
                [f"[build] args: {argument!r} is no key=value config setting"],
                fix="for Meson options write setup-args=-Dname=value",
            )
        yield key, value


def meson_cross(python: str, bin_dir: str) -> str:
    """What a Python project needs beyond the toolchain's cross file: build-time programs that run on this machine."""
    programs = {"python": python, "cython": f"{bin_dir}/cython"}
    lines = "".join(f"{name} = '{path}'\n" for name, path in programs.items())
    return f"[binaries]\n{lines}"


def details(python_job: PythonJob, *, sdk: str) -> str:
    """What Meson is told of the host platform's Python instead of asking; empty if asking is good enough."""
    write = _details_of(python_job)
    if write is None:
        return ""
    build_arch = python_job.job.build_triple.partition("-")[0]
    python = HostPython(
        version=python_job.version, build_arch=build_arch, sdk=sdk, headers=python_job.include, soabi=python_job.soabi
    )
    return write(python, python_job.job.toolchain)


def _details_of(python_job: PythonJob) -> Callable[[HostPython, Toolchain], str] | None:
    return _STABLE_ABI_DETAILS.get(python_job.job.toolchain.os) if python_job.job.build.abi3 else None


_STABLE_ABI_DETAILS: Mapping[str, Callable[[HostPython, Toolchain], str]] = {"windows": python_details.windows}
"""By operating system, for wheels of the stable ABI. Elsewhere it links no library; Meson refuses details for macOS."""


def cmake_toolchain(python_job: PythonJob, *, sdk: str) -> str:
    """The toolchain's CMake file and what FindPython would have to ask the host platform's Python for.

    In the cache: FindPython forgets variables of its own names before it looks, and believes what is cached.
    """
    found = {"INCLUDE_DIR": python_job.include}
    if python_job.job.toolchain.os == "windows":
        found["LIBRARY"] = f"{sdk}/lib/{python_job.library}.lib"
    lines = [
        f'set({prefix}_{name} "{value}" CACHE FILEPATH "")\n'
        for prefix in ("Python", "Python3")
        for name, value in found.items()
    ]
    lines.append(f'set(CMAKE_PROJECT_TOP_LEVEL_INCLUDES "{python_job.job.work}/{CMAKE_PROVIDER}")\n')
    return f"include({python_job.job.toolchain_dir}/cmake.toolchain)\n{''.join(lines)}"


def cmake_provider(python_job: PythonJob) -> str:
    """What CMake includes after the first `project`.

    In a cross build FindPython leaves out the names of extension modules (`WITH_SOABI`), and it sets that variable
    itself, so this sets it afterwards (dependency providers, CMake 3.24).
    """
    return f"""\
macro(farm_find_package method name)
  find_package(${{name}} ${{ARGN}} BYPASS_PROVIDER)
  if("${{name}}" MATCHES "^Python3?$")
    set(${{name}}_SOABI "{python_job.soabi}")
  endif()
endmacro()
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.24)
  cmake_language(SET_DEPENDENCY_PROVIDER farm_find_package SUPPORTED_METHODS FIND_PACKAGE)
endif()
"""


def environment(python_job: PythonJob, *, sdk: str, sysconfig_name: str) -> dict[str, str]:
    """What setuptools, meson-python, scikit-build-core and others look at when they build for another platform.

    `sdk` is where the build sees the Python's SDK. The two underscored names are CPython's own switches for its cross
    builds; every backend goes through `sysconfig`. What every extension module needs of the linker is not left to
    backends: the compiler wrapper adds it to each link (FARM_LDFLAGS).
    """
    job, toolchain = python_job.job, python_job.job.toolchain
    includes = (f"-I{python_job.include}", *job.header_flags)
    # Setuptools takes CFLAGS instead of what sysconfig says, not besides.
    flags = f"{CFLAGS} {shell_words((*includes, *job.expand(job.build.cflags)))}"
    last = _LINK_LAST[toolchain.os](python_job, sdk)
    # Meson asks the compiler for its version, which then must not be told to link anything.
    early, late = (last, ()) if python_job.backend in MESON_BACKENDS else ((), last)
    libraries = shell_words((*(f"-L{p}/lib" for p in job.packages), *job.expand(job.build.ldflags), *early))
    share = SHARE[toolchain.os]
    own = {
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "LDFLAGS": libraries,
        "LDSHARED": f"cc {share}",
        "LDCXXSHARED": f"c++ {share}",
        "ARCHFLAGS": "",
        "FARM_LDFLAGS": "\n".join(late),
        "_PYTHON_HOST_PLATFORM": toolchain.python_platform,
        "_PYTHON_SYSCONFIGDATA_NAME": sysconfig_name,
        "PYTHONPATH": f"{sdk}/sysconfig",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "CMAKE_TOOLCHAIN_FILE": f"{job.work}/{CMAKE_TOOLCHAIN}",
        "CMAKE_GENERATOR": "Ninja",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(job.jobs),
        "FARM_PYTHON_HOST": toolchain.binary,
        **platform_environment(toolchain),
    }
    return {**own, **{name: job.expand_one(value) for name, value in job.build.env.items()}}


def platform_environment(toolchain: Toolchain) -> dict[str, str]:
    """What every build for a platform is told, wherever it runs."""
    return _OWN.get(toolchain.os, _nothing)(toolchain)


def _nothing(_toolchain: Toolchain) -> dict[str, str]:
    return {}


def _macos(toolchain: Toolchain) -> dict[str, str]:
    return {"MACOSX_DEPLOYMENT_TARGET": ".".join(str(number) for number in toolchain.floor)}


_OWN: Mapping[str, Callable[[Toolchain], dict[str, str]]] = {"macos": _macos}


def _no_link_words(_job: PythonJob, _sdk: str) -> tuple[str, ...]:
    return ()


def _import_library(python_job: PythonJob, sdk: str) -> tuple[str, ...]:
    """A DLL must be told where each symbol comes from; this names Python's own. Last, because objects come first."""
    return (f"-L{sdk}/lib", f"-l{python_job.library}")


_LINK_LAST: Mapping[str, Callable[[PythonJob, str], tuple[str, ...]]] = {
    "linux": _no_link_words,
    "macos": _no_link_words,
    "windows": _import_library,
}


def backend_of(pyproject: Mapping[str, object]) -> str:
    """The backend's module; setuptools where pyproject.toml names none (PEP 517)."""
    table = pyproject.get("build-system")
    named = table.get("build-backend") if isinstance(table, dict) else None
    return str(named or "setuptools.build_meta").partition(":")[0]
