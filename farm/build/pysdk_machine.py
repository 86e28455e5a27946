"""A Python of this machine as the source of an SDK, for Pythons that no file describes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from farm import process
from farm.build.pysdk_sysconfig import Flavour, debian_cpu
from farm.errors import MissingToolError
from farm.settings import build_machine

_TAG = re.compile(r"cp(\d)(\d+)")
_REDIRECT = re.compile(rb"#\s*include\s*<([\w.-]+/python[\w.]+/pyconfig\.h)>")
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
class Interpreter:
    """A Python of this machine, as it describes itself."""

    executable: Path
    base: Path
    version: str
    abiflags: str
    includes: tuple[Path, ...]
    free_threaded: bool

    @property
    def flavour(self) -> Flavour:
        """What sets this Python apart from others, for sysconfig data."""
        return Flavour(version=self.version, abiflags=self.abiflags, free_threaded=self.free_threaded)


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
            f"this machine has no working python{short}, and no file in toolchains/pythons/ describes one",
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


def headers(python: Interpreter) -> dict[str, bytes]:
    """Relative path -> content of every header. Raises MissingToolError if this Python came without them."""
    found: dict[str, bytes] = {}
    for folder in python.includes:
        for file in sorted(folder.rglob("*.h")):
            found.setdefault(file.relative_to(folder).as_posix(), file.read_bytes())
    if "Python.h" not in found:
        raise MissingToolError(
            f"{python.executable} has no headers: {python.includes[0]} holds no Python.h",
            fix=f"apt-get install libpython{python.flavour.short}-dev, or the like",
        )
    found["pyconfig.h"] = _real_pyconfig(found.get("pyconfig.h", b""), python)
    return found


def _real_pyconfig(content: bytes, python: Interpreter) -> bytes:
    """Debian's pyconfig.h is a switch over architectures; take the one of this machine."""
    for match in _REDIRECT.finditer(content):
        name = match[1].decode()
        if name.startswith(f"{debian_cpu(build_machine())}-linux-gnu/"):
            return Path(python.includes[0].parent, name).read_bytes()
    return content
