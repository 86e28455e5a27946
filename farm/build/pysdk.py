"""Python SDKs: what an extension module is compiled against, taken from a Python on this machine, pinned by content.

The headers are copied into the cache under the hash of their content, so that a build never sees the machine's own and
the build key changes when they do. The sysconfig data is not the machine's: it is written for the host platform, with
the toolchain's compilers by name and fixed paths, so two machines with the same headers build alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from farm import process
from farm.errors import MissingToolError
from farm.model.toolchain import Toolchain
from farm.settings import Settings, build_machine

LAYOUT = 1
"""Raised when what is written here changes, so that keys change too."""

INSIDE = "/farm/sdk"
SYSCONFIG_NAME = "_sysconfigdata_farm"
_TAG = re.compile(r"cp(\d)(\d+)")
_REDIRECT = re.compile(rb"#\s*include\s*<([\w.-]+/python[\w.]+/pyconfig\.h)>")
_MULTIARCH_CPU = {"i686": "i386", "ppc64le": "powerpc64le", "armv7l": "arm"}
_LIBC = {"glibc": "gnu", "musl": "musl"}
_ASK = """
import json, sys, sysconfig
v = sysconfig.get_config_vars()
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3], "base": sys.base_prefix,
    "include": sysconfig.get_path("include", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}),
    "platinclude": sysconfig.get_path("platinclude",
        vars={"platbase": sys.base_exec_prefix, "installed_platbase": sys.base_exec_prefix}),
    "abiflags": getattr(sys, "abiflags", ""), "executable": getattr(sys, "_base_executable", sys.executable),
    "threads": bool(v.get("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSdk:
    """What extension modules of one Python are built with, for one platform.

    `tag` is ``cp311``, `version` the full version; `include` holds Python.h; `root`, which builds see as
    ``/farm/sdk``, has the host platform's sysconfig data in ``sysconfig/``. `interpreter` runs the build; `base` is
    its prefix. `digest` is the sha256 of everything a result can depend on, for the build key.
    """

    tag: str
    version: str
    root: Path
    include: Path
    interpreter: Path
    base: Path
    digest: str

    @property
    def short(self) -> str:
        """``3.11``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python of this machine, as it describes itself."""

    executable: Path
    base: Path
    version: str
    abiflags: str
    includes: tuple[Path, ...]
    free_threaded: bool


def sdk(python_tag: str, toolchain: Toolchain, settings: Settings) -> PythonSdk:
    """The SDK of a Python (``cp311``) for a platform; quick when it is in the cache.

    Raises MissingToolError if this machine has no such Python, no headers of it, or none for the platform.
    """
    python = find(python_tag)
    if toolchain.arch != build_machine() or toolchain.os != "linux":
        raise MissingToolError(
            f"there is no Python SDK for {python_tag} on {toolchain.platform}: this machine's is for {build_machine()}",
            fix="plan dependents for this machine's architecture only: --platform 'manylinux_*_"
            + build_machine()
            + "'",
        )
    headers = _headers(python)
    data = sysconfig_data(python, toolchain)
    digest = _digest(python, headers, data)
    root = settings.cache / "sdk" / f"{python_tag}-{toolchain.platform}-{digest[:16]}"
    if not root.is_dir():
        _lay_out(root, python, headers, data)
    return PythonSdk(
        tag=python_tag,
        version=python.version,
        root=root,
        include=root / "include" / _include_name(python),
        interpreter=python.executable,
        base=python.base,
        digest=digest,
    )


@lru_cache(maxsize=16)
def find(python_tag: str) -> Interpreter:
    """The Python of a tag: the one that runs the farm if it is that, else ``pythonX.Y`` on PATH."""
    match = _TAG.fullmatch(python_tag)
    if match is None:
        raise MissingToolError(f"{python_tag!r} is no CPython tag such as cp311")
    short = f"{match[1]}.{match[2]}"
    own = f"{sys.version_info[0]}.{sys.version_info[1]}" == short
    executable = sys.executable if own else shutil.which(f"python{short}")
    found = _ask(executable) if executable else None
    if found is None or not found.version.startswith(f"{short}."):
        raise MissingToolError(
            f"this machine has no working python{short}",
            fix=f"install Python {short} with its headers so that `python{short}` runs, or build for another --python",
        )
    return found


def _ask(executable: str) -> Interpreter | None:
    done = process.run([executable, "-I", "-c", _ASK], env={"PATH": os.defpath}, check=False, timeout=60)
    if done.returncode:
        return None
    told = json.loads(done.output.strip().splitlines()[-1])
    return Interpreter(
        executable=Path(told["executable"]).resolve(),
        base=Path(told["base"]).resolve(),
        version=told["version"],
        abiflags=told["abiflags"],
        includes=tuple(dict.fromkeys((Path(told["include"]), Path(told["platinclude"])))),
        free_threaded=told["threads"],
    )


def _include_name(python: Interpreter) -> str:
    return f"python{'.'.join(python.version.split('.')[:2])}{python.abiflags}"


def _headers(python: Interpreter) -> dict[str, bytes]:
    """Relative path -> content of every header."""
    found: dict[str, bytes] = {}
    for folder in python.includes:
        for file in sorted(folder.rglob("*.h")):
            found.setdefault(file.relative_to(folder).as_posix(), file.read_bytes())
    if "Python.h" not in found:
        raise MissingToolError(
            f"{python.executable} has no headers: {python.includes[0]} holds no Python.h",
            fix=f"apt-get install libpython{'.'.join(python.version.split('.')[:2])}-dev, or the like",
        )
    found["pyconfig.h"] = _real_pyconfig(found.get("pyconfig.h", b""), python)
    return found


def _real_pyconfig(content: bytes, python: Interpreter) -> bytes:
    """Debian's pyconfig.h is a switch over architectures; take the one of this machine."""
    for match in _REDIRECT.finditer(content):
        name = match[1].decode()
        if name.startswith(f"{_MULTIARCH_CPU.get(build_machine(), build_machine())}-linux-gnu/"):
            return Path(python.includes[0].parent, name).read_bytes()
    return content


def multiarch(toolchain: Toolchain) -> str:
    """The triple in extension modules' names: ``x86_64-linux-gnu``."""
    cpu = _MULTIARCH_CPU.get(toolchain.arch, toolchain.arch)
    return f"{cpu}-linux-{_LIBC.get(toolchain.libc, 'gnu')}"


def sysconfig_data(python: Interpreter, toolchain: Toolchain) -> Mapping[str, str | int]:
    """What builds ask `sysconfig` for, as it is on the host platform. Paths are those inside the sandbox."""
    short = ".".join(python.version.split(".")[:2])
    name = _include_name(python)
    triple = multiarch(toolchain)
    soabi = f"cpython-{short.replace('.', '')}{python.abiflags}-{triple}"
    return {
        "ABIFLAGS": python.abiflags,
        "ANDROID_API_LEVEL": 0,  # unset, distutils takes every cross build for Android and links libpython
        "AR": "ar",
        "ARFLAGS": "rcs",
        "BASECFLAGS": "-fno-strict-overflow",
        "BLDSHARED": "cc -shared",
        "CC": "cc",
        "CCSHARED": "-fPIC",
        "CFLAGS": "-fno-strict-overflow -DNDEBUG -O2 -Wall",
        "CONFIG_ARGS": "",
        "CONFINCLUDEPY": f"{INSIDE}/include/{name}",
        "CXX": "c++",
        "EXT_SUFFIX": f".{soabi}.so",
        "HOST_GNU_TYPE": toolchain.triple,
        "INCLUDEPY": f"{INSIDE}/include/{name}",
        "LDCXXSHARED": "c++ -shared",
        "LDFLAGS": "",
        "LDLIBRARY": f"libpython{short}{python.abiflags}.a",
        "LDSHARED": "cc -shared",
        "LDVERSION": f"{short}{python.abiflags}",
        "LIBDIR": f"{INSIDE}/lib",
        "LIBPC": f"{INSIDE}/lib/pkgconfig",
        "LIBPL": f"{INSIDE}/lib",
        "LIBRARY": f"libpython{short}{python.abiflags}.a",
        "LIBPYTHON": "",  # what extension modules link: nothing; Meson takes "unset" for yes
        "LIBS": "",
        "MACHDEP": "linux",
        "MULTIARCH": triple,
        "OPT": "-DNDEBUG -O2 -Wall",
        "PYTHONFRAMEWORK": "",
        "PY_CFLAGS": "-fno-strict-overflow -DNDEBUG -O2 -Wall",
        "PY_LDFLAGS": "",
        "Py_DEBUG": 0,
        "Py_ENABLE_SHARED": 0,
        "Py_GIL_DISABLED": int(python.free_threaded),
        "RANLIB": "ranlib",
        "SHLIB_SUFFIX": ".so",
        "SIZEOF_VOID_P": 4 if toolchain.arch in ("i686", "armv7l") else 8,
        "SOABI": soabi,
        "SYSLIBS": "",
        "VERSION": short,
        "WITH_PYMALLOC": 1,
        "installed_base": INSIDE,
        "installed_platbase": INSIDE,
    }


def _digest(python: Interpreter, headers: Mapping[str, bytes], data: Mapping[str, str | int]) -> str:
    whole = hashlib.sha256(f"{LAYOUT}\n{python.version}\n".encode())
    for name, content in sorted(headers.items()):
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    whole.update(json.dumps(data, sort_keys=True).encode())
    return whole.hexdigest()


def _lay_out(root: Path, python: Interpreter, headers: Mapping[str, bytes], data: Mapping[str, str | int]) -> None:
    """Write the SDK; it appears whole or not at all."""
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".sdk-", dir=root.parent))
    try:
        for name, content in headers.items():
            file = scratch / "include" / _include_name(python) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (scratch / "sysconfig").mkdir()
        text = f"build_time_vars = {json.dumps(dict(sorted(data.items())), indent=1)}\n"
        (scratch / "sysconfig" / f"{SYSCONFIG_NAME}.py").write_text(text, "utf-8")
        scratch.chmod(0o755)
        try:
            scratch.rename(root)
        except OSError:
            if not root.is_dir():  # else another farm was first, with the same content
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
